"""Stand-in for Modal: the control plane that Modal's own client talks to over gRPC, as far as this project needs it.

Functions that are spawned run in the process of local/worker.py; Dicts are kept here, for all processes to see.

    POST /_faults {"path": "FunctionMap", "calls": 4, "status": 14}     that RPC fails with this gRPC status
    POST /_faults {"path": "DictGet", "stuck": true}                    that RPC never answers
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, TypeVar, cast
from uuid import uuid4

import httpx
from grpclib import GRPCError, Status
from grpclib.const import Handler
from grpclib.server import Server, Stream
from modal._serialization import deserialize, pickle_exception, serialize
from modal_proto import api_pb2 as api
from modal_proto.api_grpc import ModalClientBase
from starlette.applications import Starlette

from local.faults import Faults

FUNCTIONS = ("worker", "producer")
T = TypeVar("T")
Result = api.GenericResult


class ControlPlane:
    """Calls of functions, and Dicts. `fault`: what goes wrong with the next call of an RPC, if anything."""

    def __init__(self, token: tuple[str, str], run: Callable[[str, tuple[Any, ...]], Any], faults: Faults) -> None:
        self._token, self._run, self._faults = token, run, faults
        self._calls: dict[str, asyncio.Task[Any]] = {}
        self._dicts: dict[str, dict[bytes, bytes]] = {}

    def __mapping__(self) -> dict[str, Handler]:
        unimplemented = SimpleNamespace(**dict.fromkeys(ModalClientBase.__abstractmethods__))
        handlers = ModalClientBase.__mapping__(cast(ModalClientBase, unimplemented))
        return {
            path: handler._replace(func=self._served(path.rpartition("/")[2], handler))
            for path, handler in handlers.items()
        }

    def _served(self, name: str, handler: Handler) -> Callable[[Stream[Any, Any]], Any]:
        method = getattr(self, name, None)

        async def serve(stream: Stream[Any, Any]) -> None:
            request, metadata = await stream.recv_message(), cast(Mapping[str, str], stream.metadata)
            if (metadata.get("x-modal-token-id"), metadata.get("x-modal-token-secret")) != self._token:
                raise GRPCError(Status.UNAUTHENTICATED, "Token validation failed")
            if fault := self._faults.due(name):
                if fault.stuck:
                    await asyncio.Event().wait()
                raise GRPCError(Status(fault.status), "as told")
            if method is None:
                raise GRPCError(Status.UNIMPLEMENTED, name)
            response = await method(request)
            await stream.send_message(handler.reply_type() if response is None else response)

        return serve

    async def FunctionGet(self, request: api.FunctionGetRequest) -> api.FunctionGetResponse:
        name = request.object_tag
        if name not in FUNCTIONS:
            raise GRPCError(Status.NOT_FOUND, f"{name} was not found")
        metadata = api.FunctionHandleMetadata(function_name=name, function_type=api.Function.FUNCTION_TYPE_FUNCTION)
        function = api.FunctionData(ranked_functions=[api.FunctionData.RankedFunction()])
        return api.FunctionGetResponse(function_id=f"fu-{name}", handle_metadata=metadata, function=function)

    async def FunctionMap(self, request: api.FunctionMapRequest) -> api.FunctionMapResponse:
        arguments, _ = deserialize(request.pipelined_inputs[0].input.args, None)
        call_id, name = f"fc-{uuid4().hex}", request.function_id.removeprefix("fu-")
        self._calls[call_id] = asyncio.create_task(self._run(name, arguments))
        accepted = api.FunctionPutInputsResponseItem(input_id=f"in-{uuid4().hex}")
        return api.FunctionMapResponse(function_call_id=call_id, pipelined_inputs=[accepted])

    async def FunctionGetOutputs(self, request: api.FunctionGetOutputsRequest) -> api.FunctionGetOutputsResponse:
        task = _known(self._calls, request.function_call_id)
        await asyncio.wait([task], timeout=request.timeout)
        if not task.done():
            return api.FunctionGetOutputsResponse(num_unfinished_inputs=1)
        if error := task.exception():
            result = Result(status=Result.GENERIC_STATUS_FAILURE, exception=repr(error), data=pickle_exception(error))
        else:
            result = Result(status=Result.GENERIC_STATUS_SUCCESS, data=serialize(task.result()))
        output = api.FunctionGetOutputsItem(result=result, data_format=api.DATA_FORMAT_PICKLE)
        return api.FunctionGetOutputsResponse(outputs=[output])

    async def DictGetOrCreate(self, request: api.DictGetOrCreateRequest) -> api.DictGetOrCreateResponse:
        name = request.deployment_name
        self._dicts.setdefault(f"di-{name}", {})
        return api.DictGetOrCreateResponse(dict_id=f"di-{name}", metadata=api.DictMetadata(name=name))

    async def DictGet(self, request: api.DictGetRequest) -> api.DictGetResponse:
        value = _known(self._dicts, request.dict_id).get(request.key)
        return api.DictGetResponse(found=value is not None, value=value)

    async def DictUpdate(self, request: api.DictUpdateRequest) -> api.DictUpdateResponse:
        _known(self._dicts, request.dict_id).update({entry.key: entry.value for entry in request.updates})
        return api.DictUpdateResponse(created=True)


def _known(kept: Mapping[str, T], name: str) -> T:
    if name not in kept:
        raise GRPCError(Status.NOT_FOUND, f"{name} was not found")
    return kept[name]


async def _run_in_worker(function: str, arguments: tuple[Any, ...]) -> Any:
    """As a container of that function would; raises RuntimeError when it dies."""
    async with httpx.AsyncClient(timeout=3700, trust_env=False) as http:
        response = await http.post(f"{os.environ['WORKER_URL']}/{function}", json=list(arguments))
    if response.is_error:
        raise RuntimeError(f"{function} failed")
    return response.json()


@asynccontextmanager
async def _serve(_: Starlette) -> AsyncIterator[None]:
    """gRPC beside HTTP, on a port of its own."""
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # without it asyncio sets no TCP_NODELAY: 40 ms a call
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(os.environ["MODAL_PORT"])))
    token = (os.environ["MODAL_TOKEN_ID"], os.environ["MODAL_TOKEN_SECRET"])
    server = Server([ControlPlane(token, _run_in_worker, faults)])
    await server.start(sock=listener)
    try:
        yield
    finally:
        server.close()


faults = Faults(Starlette(lifespan=_serve), refusal=lambda status, code: {"status": status, "code": code})
app = faults
