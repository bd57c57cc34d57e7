"""aioquic and netloom try each other. Needs the package aioquic 1.7.2; for `letters` also its examples, httpx and wsproto.

    quic_peer.py letters EXAMPLES PORT RETRY_PORT    aioquic's own interoperability client; a letter for each feature
    quic_peer.py serve CERT KEY                      serves /N by hq-interop; prints its port, ends with standard input
"""

import asyncio
import inspect
import ssl
import sys

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import StreamDataReceived
from aioquic.tls import SessionTicket


async def letters(examples, port, retry_port):
    sys.path.insert(0, examples)
    import interop

    server = interop.Server(
        "netloom",
        "127.0.0.1",
        port=port,
        retry_port=retry_port,
        http3=False,
        verify_mode=ssl.CERT_NONE,
        throughput_path=None,
    )
    in_their_order = sorted(
        (
            (name, test)
            for name, test in inspect.getmembers(interop, inspect.iscoroutinefunction)
            if name.startswith("test_") and name != "test_http_3"
        ),
        key=lambda found: inspect.getsourcelines(found[1])[1],
    )
    await interop.main(servers=[server], tests=in_their_order)


class Server(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.asked = {}

    def quic_event_received(self, event):
        if not isinstance(event, StreamDataReceived):
            return
        asked = self.asked.setdefault(event.stream_id, b"") + event.data
        self.asked[event.stream_id] = asked
        if event.end_stream:
            size = int(asked.split()[1][1:])
            self._quic.send_stream_data(event.stream_id, b"a" * size, end_stream=True)
            self.transmit()


async def answer(certificate, key):
    configuration = QuicConfiguration(alpn_protocols=["hq-interop"], is_client=False, max_datagram_frame_size=65536)
    configuration.load_cert_chain(certificate, key)
    tickets: dict[bytes, SessionTicket] = {}
    server = await serve(
        "127.0.0.1",
        0,
        configuration=configuration,
        create_protocol=Server,
        session_ticket_fetcher=lambda label: tickets.pop(label, None),
        session_ticket_handler=lambda ticket: tickets.__setitem__(ticket.ticket, ticket),
        retry=len(sys.argv) > 4,
    )
    print(server._transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


match sys.argv[1:]:
    case ["letters", examples, port, retry_port]:
        asyncio.run(letters(examples, int(port), int(retry_port)))
    case ["serve", certificate, key, *_]:
        asyncio.run(answer(certificate, key))
    case _:
        sys.exit(__doc__)
