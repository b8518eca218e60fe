"""A Modal that only takes deployments: `modal deploy` talks to it by Modal's own protobufs, and it notes what came."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import modal_proto.api_grpc as rpc
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from grpclib import GRPCError, Status
from grpclib.server import Server
from modal_proto import api_pb2 as api

from local.stack import free_port


@dataclass
class ControlPlane:
    """secret: the keys of the secret `personaforge`. `functions` and `published`: what was deployed, by name."""

    secret: frozenset[str]
    functions: dict[str, list[api.Function]] = field(default_factory=dict)  # several: one for each GPU it may run on
    images: list[api.Image] = field(default_factory=list)
    published: dict[str, str] = field(default_factory=dict)  # ids by name
    unknown: list[str] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)  # into the secret
    addresses: dict[str, str] = field(default_factory=dict)  # of endpoints that are deployed already
    url: str = ""

    def handle(self, name: str, request: Any) -> Any:
        """The answer to one call."""
        handler: Callable[[Any], Any] | None = getattr(self, f"_{name}", None)
        if handler is None:
            self.unknown.append(name)
            raise GRPCError(Status.UNIMPLEMENTED, f"{name}: see tests/support/control_plane.py")
        return handler(request)

    def _ClientHello(self, _: Any) -> Any:
        return api.ClientHelloResponse()

    def _AppGetByDeploymentName(self, _: Any) -> Any:
        return api.AppGetByDeploymentNameResponse()

    def _AppGetOrCreate(self, _: Any) -> Any:
        return api.AppGetOrCreateResponse(app_id="ap-1")

    def _AppCreate(self, _: Any) -> Any:
        return api.AppCreateResponse(app_id="ap-1")

    def _AppGetLayout(self, _: Any) -> Any:
        return api.AppGetLayoutResponse()

    def _AppHeartbeat(self, _: Any) -> Any:
        return Empty()

    def _AppClientDisconnect(self, _: Any) -> Any:
        return Empty()

    def _AppSetObjects(self, _: Any) -> Any:
        return Empty()

    def _EnvironmentGetOrCreate(self, _: Any) -> Any:
        settings = api.EnvironmentSettings(image_builder_version="2025.06", webhook_suffix="")
        metadata = api.EnvironmentMetadata(name="main", settings=settings)
        return api.EnvironmentGetOrCreateResponse(environment_id="en-1", metadata=metadata)

    def _SecretGetOrCreate(self, request: Any) -> Any:
        if request.object_creation_type == api.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS:
            self.secret, self.written = frozenset(request.env_dict), dict(request.env_dict)
        if not self.secret:
            raise GRPCError(Status.NOT_FOUND, "Secret not found")
        missing = sorted(set(request.required_keys) - self.secret)
        if missing:
            raise GRPCError(Status.NOT_FOUND, f"Secret is missing key(s): {', '.join(missing)}")
        return api.SecretGetOrCreateResponse(secret_id=f"st-{request.deployment_name}")

    def _SecretUpdate(self, request: Any) -> Any:
        self.written |= {one.key: one.value for one in request.updates}
        return Empty()

    def _FunctionGet(self, request: Any) -> Any:
        web = self.addresses.get(request.object_tag)
        if web is None:
            raise GRPCError(Status.NOT_FOUND, f"Function {request.object_tag} not found")
        metadata = api.FunctionHandleMetadata(function_name=request.object_tag, web_url=web)
        one = api.Function(function_name=request.object_tag)
        data = api.FunctionData(ranked_functions=[api.FunctionData.RankedFunction(function=one)])
        return api.FunctionGetResponse(function_id=f"fu-{request.object_tag}", handle_metadata=metadata, function=data)

    def _MountPutFile(self, _: Any) -> Any:
        return api.MountPutFileResponse(exists=True)

    def _MountBatchedCheckExistence(self, _: Any) -> Any:
        return api.MountBatchedCheckExistenceResponse()

    def _MountGetOrCreate(self, _: Any) -> Any:
        return api.MountGetOrCreateResponse(mount_id="mo-1")

    def _DictGetOrCreate(self, _: Any) -> Any:
        return api.DictGetOrCreateResponse(dict_id="di-1")

    def _VolumeGetOrCreate(self, _: Any) -> Any:
        return api.VolumeGetOrCreateResponse(volume_id="vo-1")

    def _ImageGetOrCreate(self, request: Any) -> Any:
        self.images.append(request.image)
        done = api.GenericResult(status=api.GenericResult.GENERIC_STATUS_SUCCESS)
        return api.ImageGetOrCreateResponse(image_id=f"im-{len(self.images)}", result=done)

    def _FunctionPrecreate(self, request: Any) -> Any:
        return api.FunctionPrecreateResponse(function_id=f"fu-{request.function_name}")

    def _FunctionCreate(self, request: Any) -> Any:
        data = request.function_data
        if not data.function_name:  # one without a choice of GPUs
            ranked = api.FunctionData.RankedFunction(function=request.function)
            data = api.FunctionData(function_name=request.function.function_name, ranked_functions=[ranked])
        name = data.function_name
        self.functions[name] = [one.function for one in data.ranked_functions]
        web = f"https://test--{self.functions[name][0].webhook_config.requested_suffix}.modal.run"
        metadata = api.FunctionHandleMetadata(function_name=name, web_url=web)
        return api.FunctionCreateResponse(function_id=f"fu-{name}", function_data=data, handle_metadata=metadata)

    def _ClassCreate(self, _: Any) -> Any:
        return api.ClassCreateResponse(class_id="cs-1", handle_metadata=api.ClassHandleMetadata())

    def _AppPublish(self, request: Any) -> Any:
        self.published = dict(request.function_ids)
        return api.AppPublishResponse(url="https://test.example")


@contextmanager
def control_plane(secret: frozenset[str]) -> Iterator[ControlPlane]:
    """One that listens at `url` on a thread of its own."""
    plane = ControlPlane(secret)

    def method(name: str) -> Callable[..., Any]:
        async def call(_: Any, stream: Any) -> None:
            await stream.send_message(plane.handle(name, await stream.recv_message()))

        return call

    names = [name for name, _ in inspect.getmembers(rpc.ModalClientBase, inspect.isfunction) if name[0].isupper()]
    servicer = type("Servicer", (rpc.ModalClientBase,), {name: method(name) for name in names})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> Server:
        server, port = Server([servicer()]), free_port()
        await server.start("127.0.0.1", port)
        plane.url = f"http://127.0.0.1:{port}"
        return server

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield plane
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(server.wait_closed(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
