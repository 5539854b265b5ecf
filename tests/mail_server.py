"""A mail server for the tests: tells what it gets, and answers as it is told to.

Its one argument is a JSON object, each key optional:
    answers     what it answers to each text in turn, then "250 OK" for ever; "drop" closes the
                connection and "hang" never answers, both with the text in hand
    recipients  what it answers to an address
    login       [user, password]: it asks for them
    tls         "starttls" or "implicit", with the files `certificate` and `key`

It writes one JSON object a line: first its port, then what happens. It ends when its standard
input does.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


def tell(**what):
    print(json.dumps(what), flush=True)


class Handler:
    def __init__(self, told):
        self.answers = list(told.get("answers", []))
        self.recipients = told.get("recipients", {})

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = self.recipients.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):
        answer = self.answers.pop(0) if self.answers else "250 OK"
        secret = session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None
        tell(
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            text=envelope.original_content.decode("ascii"),
            answer=answer,
            tls=secret,
            login=session.authenticated or False,
        )
        if answer == "hang":
            await asyncio.Event().wait()
        if answer == "drop":
            server.transport.abort()
        return answer


def server(told, context):
    login = told.get("login")

    def authenticate(_server, _session, _envelope, _mechanism, data):
        given = isinstance(data, LoginPassword) and [data.login.decode(), data.password.decode()]
        fits = given == login
        tell(tried=fits)
        return AuthResult(success=fits, handled=False)

    return SMTP(
        Handler.shared,
        hostname="mail.example",
        tls_context=context if told.get("tls") == "starttls" else None,
        require_starttls=told.get("tls") == "starttls",
        authenticator=authenticate if login else None,
        auth_required=login is not None,
        # Without a login to ask for, none is offered.
        auth_require_tls=login is None,
    )


async def main(told):
    context = None
    if "tls" in told:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(told["certificate"], told["key"])
    Handler.shared = Handler(told)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        lambda: server(told, context),
        "127.0.0.1",
        0,
        ssl=context if told.get("tls") == "implicit" else None,
    )
    tell(port=listening.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main(json.loads(sys.argv[1])))
