"""The bare libraries as servers that do nothing with what they get. They print their port and end with their input."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import uvloop


async def _fhir() -> None:
    import msgspec
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def taken(request: Request) -> JSONResponse:
        bundle: Any = msgspec.json.decode(await request.body())
        return JSONResponse(
            {"resourceType": "Bundle", "type": "transaction-response", "n": len(bundle["entry"])}
        )

    app = Starlette(routes=[Route("/fhir", taken, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event
        await asyncio.sleep(0.01)
    await _until_over(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await task


async def _script() -> None:
    from aiohttp import web
    from lxml import etree

    async def taken(request: web.Request) -> web.Response:
        etree.fromstring(await request.read())
        return web.Response(body=b"<Message><Body><Status><Code>010</Code></Status></Body></Message>")

    app = web.Application()
    app.router.add_post("/script", taken)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await _until_over(runner.addresses[0][1])
    await runner.cleanup()


async def _until_over(port: int) -> None:
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)


def _dicom() -> None:
    from pynetdicom import AE, AllStoragePresentationContexts, evt

    entity = AE("CHARTWIRE")
    entity.supported_contexts = AllStoragePresentationContexts
    server: Any = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda event: 0x0000)]
    )
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    server.shutdown()


def _mqtt(port: int, wanted: int) -> None:
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    ready, over = threading.Event(), threading.Event()
    got = 0

    def counted(client: Any, data: Any, message: Any) -> None:
        nonlocal got
        got += 1
        if got == wanted:
            over.set()

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = counted
    client.on_subscribe = lambda *told: ready.set()
    client.connect("127.0.0.1", port)
    client.subscribe("ward/+/vitals", 1)
    client.loop_start()
    ready.wait()
    print(port, flush=True)
    over.wait(120)
    client.loop_stop()


def main(kind: str, *more: str) -> None:
    if kind == "dicom":
        _dicom()
    elif kind == "mqtt":
        _mqtt(*map(int, more))
    else:
        uvloop.run({"fhir": _fhir, "script": _script}[kind]())


if __name__ == "__main__":
    main(*sys.argv[1:])
