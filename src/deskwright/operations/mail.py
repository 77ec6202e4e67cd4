"""Sending mails over the installation's mail server (SMTP)."""

import html
import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from deskwright.domain.notices import Letter, plain
from deskwright.domain.rules import Refused
from deskwright.settings import Settings

TIMEOUT_SECONDS = 10.0
_URL, _FROM = "DESKWRIGHT_SMTP_URL", "DESKWRIGHT_MAIL_FROM"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class NotSent(Exception):
    """It did not go out. `for_good`: trying again cannot help. `whole`: nothing else gets through there now either."""

    def __init__(self, reason: str, *, for_good: bool = False, whole: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.for_good, self.whole = reason[:300], for_good, whole


@dataclass(frozen=True)
class Server:
    host: str
    port: int
    tls: bool
    """TLS from the first byte (smtps)."""
    starttls: bool
    sender: Address
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def server(settings: Settings) -> Server | None:
    """The mail server that is set; None: none is. Raises Refused, never with the address: it has a password in it."""
    if settings.smtp_url is None or not settings.smtp_url.get_secret_value():
        return None
    try:
        parts = urlsplit(settings.smtp_url.get_secret_value())
        port, given = parts.port, parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        raise Refused(_URL, None, "must be smtp://user:password@host:587?starttls=1 or smtps://...") from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path not in ("", "/"):
        raise Refused(_URL, None, "must be smtp://user:password@host:587?starttls=1 or smtps://...")
    if set(given) - {"starttls"} or given.get("starttls", ["0"]) not in (["0"], ["1"]):
        raise Refused(_URL, None, "the only option after the host is starttls=1")
    starttls, tls = given.get("starttls") == ["1"], parts.scheme == "smtps"
    if parts.password and not (tls or starttls or parts.hostname in _LOOPBACK):
        rule = "a password would be sent for everybody to read"
        raise Refused(_URL, None, rule, remedy="Use smtps://, or add ?starttls=1")
    user, password = (unquote(v) if v else None for v in (parts.username, parts.password))
    usual = 465 if tls else 587 if starttls else 25
    return Server(parts.hostname, port or usual, tls, starttls, _sender(settings, parts), user, password)


def _sender(settings: Settings, parts: SplitResult) -> Address:
    given = settings.mail_from or unquote(parts.username or "")
    name, address = parseaddr(given)
    if "@" not in address:
        raise Refused(_FROM, settings.mail_from, "must be an address, such as Deskwright <desktops@contoso.com>")
    try:
        return _address(name or "Deskwright", address)
    except NotSent as bad:
        raise Refused(_FROM, settings.mail_from, bad.reason) from bad


def compose(sender: Address, person: str, address: str, written: Letter, message_id: str | None = None) -> EmailMessage:
    """The mail, as plain text and as simple HTML. Raises NotSent where `address` is none.

    `message_id`: the same for each try of one mail, so that mail programs recognise a repetition.
    """
    message = EmailMessage()
    message["From"] = sender
    message["To"] = _address(person, address)
    message["Subject"] = plain(written.subject, 200)
    message["Date"] = formatdate(usegmt=True)
    domain = sender.domain or "localhost"
    message["Message-ID"] = f"<{message_id}@{domain}>" if message_id else make_msgid(domain=domain)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    closing = "This mail was written by Deskwright. Nobody reads answers to it."
    said = "\n\n".join((*written.paragraphs, f"{written.link_text}: {written.link}", closing))
    message.set_content(f"{said}\n", cte="quoted-printable")
    paragraphs = "".join(f"<p>{html.escape(p)}</p>\n" for p in written.paragraphs)
    link = f'<p><a href="{html.escape(written.link)}">{html.escape(written.link_text)}</a></p>\n'
    message.add_alternative(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(written.subject)}</title>'
        f"</head><body>\n{paragraphs}{link}<p><small>{closing}</small></p>\n</body></html>\n",
        subtype="html",
        cte="quoted-printable",
    )
    return message


def _address(name: str, address: str) -> Address:
    """A mailbox; what would break out of the header is refused."""
    local, _, domain = address.strip().rpartition("@")
    try:
        if not local or not domain or not address.isprintable():
            raise ValueError(address)
        return Address(plain(name, 80), local, domain.encode("idna").decode())
    except (ValueError, HeaderParseError, IndexError) as bad:
        raise NotSent(f"{plain(address)!r} is no mail address", for_good=True) from bad


class Mailer:
    """One connection to the mail server, opened when it is first needed; use it as a context manager."""

    def __init__(self, to: Server) -> None:
        self.server = to
        self._smtp: smtplib.SMTP | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._leave()

    def send(self, message: EmailMessage) -> None:
        """Raises NotSent."""
        smtp = self._open()
        try:
            smtp.send_message(message)
        except smtplib.SMTPRecipientsRefused as refused:
            code, said = next(iter(refused.recipients.values()))
            raise NotSent(_told(code, said), for_good=code >= 500) from refused
        except smtplib.SMTPDataError as refused:
            raise NotSent(_told(refused.smtp_code, refused.smtp_error), for_good=refused.smtp_code >= 500) from refused
        except (smtplib.SMTPNotSupportedError, ValueError) as cannot:
            raise NotSent(str(cannot), for_good=True) from cannot
        except (smtplib.SMTPException, OSError) as broken:
            self._leave()
            raise self._broken(broken) from broken

    def _open(self) -> smtplib.SMTP:
        if self._smtp is not None:
            with suppress(smtplib.SMTPException, OSError):
                if self._smtp.noop()[0] == 250:  # servers end a connection after so many mails, or so long
                    return self._smtp
            self._leave()
        to = self.server
        opened: smtplib.SMTP
        try:
            secure = ssl.create_default_context()
            if to.tls:
                opened = smtplib.SMTP_SSL(to.host, to.port, timeout=TIMEOUT_SECONDS, context=secure)
            else:
                opened = smtplib.SMTP(to.host, to.port, timeout=TIMEOUT_SECONDS)
            self._smtp = opened
            if to.starttls:
                opened.starttls(context=secure)
            if to.user is not None and to.password is not None:
                opened.login(to.user, to.password)
        except (smtplib.SMTPException, OSError, ValueError) as broken:
            self._leave()
            raise self._broken(broken) from broken
        return opened

    def _broken(self, error: Exception) -> NotSent:
        if isinstance(error, smtplib.SMTPResponseException):
            reason = _told(error.smtp_code, error.smtp_error)
        else:
            reason = str(error) or type(error).__name__
        return NotSent(f"mail server {self.server.host}:{self.server.port}: {reason}", whole=True)

    def _leave(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            with suppress(smtplib.SMTPException, OSError):
                smtp.quit()
            smtp.close()


def _told(code: int, said: bytes | str) -> str:
    return f"{code} {said.decode(errors='replace') if isinstance(said, bytes) else said}"
