"""The least that a status call could be: a FastAPI handler that does nothing."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/v1/predictions/{public}")
async def get(public: str) -> dict[str, str]:
    return {"id": public, "status": "processing"}
