"""Mails over a real SMTP server: what they look like, what hostile names do to them, and what servers answer."""

from datetime import UTC, datetime
from email.headerregistry import Address
from pathlib import Path

import pytest
from pydantic import SecretStr

from deskwright.domain.notices import About, Kind, Letter, letter
from deskwright.domain.rules import Refused
from deskwright.identity import certificates
from deskwright.operations import mail
from deskwright.operations.mail import Mailer, NotSent, Server, compose
from deskwright.settings import Settings
from tests.receivers import Inbox, mail_server

FROM = Address("Deskwright", "desktops", "contoso.com")
ABOUT = About("Adele", "Desktops - Adele", "https://d.contoso.com/portal?a=1&b=2", datetime(2026, 11, 28, tzinfo=UTC))


def at(inbox: Inbox, **more: str) -> Server:
    return Server("127.0.0.1", inbox.port, False, False, FROM, more.get("user"), more.get("password"))


def sent(person: str, address: str, written: Letter) -> Inbox:
    with mail_server() as inbox, Mailer(at(inbox)) as mailer:
        mailer.send(compose(FROM, person, address, written, message_id="42"))
    return inbox


def body(inbox: Inbox, kind: str) -> str:
    part = inbox.mails[0].get_body((kind,))
    assert part is not None
    return str(part.get_content())


def test_a_mail_has_text_html_and_the_marks_of_a_machine() -> None:
    inbox = sent("Adele Vance", "adele@contoso.com", letter(Kind.GRACE, ABOUT))
    (message,) = inbox.mails
    assert inbox.recipients == ["adele@contoso.com"]
    assert message["From"] == "Deskwright <desktops@contoso.com>"
    assert message["To"] == "Adele Vance <adele@contoso.com>"
    assert message["Subject"] == "Your Cloud PC will be removed: Desktops - Adele"
    assert message["Message-ID"] == "<42@contoso.com>", "the same at each try"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime is not None
    assert "Open the portal: https://d.contoso.com/portal?a=1&b=2" in body(inbox, "plain")
    assert 'href="https://d.contoso.com/portal?a=1&amp;b=2"' in body(inbox, "html")
    for kind in ("plain", "html"):
        assert "28 November 2026" in body(inbox, kind)


@pytest.mark.parametrize(
    "name",
    [
        "Adele\r\nBcc: everybody@contoso.com",
        "<script>alert(1)</script>",
        '"Adele" <other@example.com>, x',
        "\u202eelédA",
        "😀" * 255,
        "",
    ],
)
def test_a_hostile_name_stays_a_name(name: str) -> None:
    about = About(name, name, "https://d.contoso.com/portal")
    inbox = sent(name, "adele@contoso.com", letter(Kind.READY, about))
    (message,) = inbox.mails
    assert inbox.recipients == ["adele@contoso.com"]
    assert [a.addr_spec for a in message["To"].addresses] == ["adele@contoso.com"]
    assert message["Bcc"] is None
    assert message.defects == []
    assert "<script>" not in body(inbox, "html")
    assert "\u202e" not in body(inbox, "plain")


@pytest.mark.parametrize(
    "address", ["adele", "@contoso.com", "a@b\r\nBcc: x@y.z", "a b@", "", "x" * 80 + "@" + "y" * 80]
)
def test_what_is_no_address_is_not_tried_again(address: str) -> None:
    with pytest.raises(NotSent, match="is no mail address") as failure:
        compose(FROM, "Adele", address, letter(Kind.READY, ABOUT))
    assert failure.value.for_good


def test_a_connection_serves_many_mails_and_is_opened_again_when_it_was_ended() -> None:
    with mail_server(hang_up_after=3) as inbox, Mailer(at(inbox)) as mailer:
        for n in range(7):
            mailer.send(compose(FROM, "", f"u{n}@contoso.com", letter(Kind.READY, ABOUT)))
    assert inbox.recipients == [f"u{n}@contoso.com" for n in range(7)]
    assert inbox.connections == 3


@pytest.mark.parametrize(("answer", "for_good"), [("550 no such user", True), ("451 try later", False)])
def test_a_refused_recipient_concerns_nobody_else(answer: str, for_good: bool) -> None:
    with mail_server(refuse={"adele@contoso.com": answer}) as inbox, Mailer(at(inbox)) as mailer:
        with pytest.raises(NotSent, match=answer) as failure:
            mailer.send(compose(FROM, "", "adele@contoso.com", letter(Kind.READY, ABOUT)))
        assert (failure.value.for_good, failure.value.whole) == (for_good, False)
        mailer.send(compose(FROM, "", "alex@contoso.com", letter(Kind.READY, ABOUT)))
    assert inbox.recipients == ["alex@contoso.com"]


@pytest.mark.parametrize("password", ["right", "wrong-secret"])
def test_a_server_that_wants_a_password(password: str) -> None:
    with (
        mail_server(login=("desk", "right")) as inbox,
        Mailer(at(inbox, user="desk", password=password)) as mailer,
    ):
        message = compose(FROM, "", "adele@contoso.com", letter(Kind.READY, ABOUT))
        if password == "right":
            mailer.send(message)
            assert len(inbox.mails) == 1
        else:
            with pytest.raises(NotSent, match="535") as failure:
                mailer.send(message)
            assert failure.value.whole
            assert password not in failure.value.reason


def test_a_dead_server_says_which_it_is() -> None:
    with mail_server() as inbox:
        dead = at(inbox)
    with Mailer(dead) as mailer, pytest.raises(NotSent, match=f"127.0.0.1:{dead.port}") as failure:
        mailer.send(compose(FROM, "", "adele@contoso.com", letter(Kind.READY, ABOUT)))
    assert (failure.value.whole, failure.value.for_good) == (True, False)


def test_tls_wants_a_certificate_that_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = certificates.make(tmp_path)
    with mail_server(tls=made) as inbox:
        url = SecretStr(f"smtps://localhost:{inbox.port}")
        server = mail.server(Settings(data_dir=tmp_path, smtp_url=url, mail_from="desktops@contoso.com"))
        assert server is not None
        message = compose(server.sender, "", "adele@contoso.com", letter(Kind.READY, ABOUT))
        with Mailer(server) as mailer, pytest.raises(NotSent, match="certificate"):
            mailer.send(message)
        assert inbox.mails == []
        monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
        with Mailer(server) as mailer:
            mailer.send(message)
        assert inbox.recipients == ["adele@contoso.com"]


def settings(url: str | None, sender: str | None = "Desk <desk@contoso.com>") -> Settings:
    return Settings(smtp_url=None if url is None else SecretStr(url), mail_from=sender)


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "starttls"),
    [
        ("smtp://mail.contoso.com", "mail.contoso.com", 25, False, False),
        ("smtp://mail.contoso.com?starttls=1", "mail.contoso.com", 587, False, True),
        ("smtp://u:p%40w@mail.contoso.com:2525/?starttls=1", "mail.contoso.com", 2525, False, True),
        ("smtps://u:p%40w@mail.contoso.com", "mail.contoso.com", 465, True, False),
        ("smtp://u:p%40w@localhost:1025", "localhost", 1025, False, False),
    ],
)
def test_how_a_mail_server_is_written(url: str, host: str, port: int, tls: bool, starttls: bool) -> None:
    found = mail.server(settings(url))
    assert found is not None
    assert (found.host, found.port, found.tls, found.starttls) == (host, port, tls, starttls)
    assert found.password == ("p@w" if "u:" in url else None)
    assert "p@w" not in repr(found)


@pytest.mark.parametrize(
    ("url", "sender", "field"),
    [
        ("http://secret@mail.contoso.com", "a@b.c", "DESKWRIGHT_SMTP_URL"),
        ("smtp://", "a@b.c", "DESKWRIGHT_SMTP_URL"),
        ("smtp://u:secret@mail:x", "a@b.c", "DESKWRIGHT_SMTP_URL"),
        ("smtp://u:secret@mail.contoso.com", "a@b.c", "DESKWRIGHT_SMTP_URL"),
        ("smtp://mail.contoso.com?tls=secret", "a@b.c", "DESKWRIGHT_SMTP_URL"),
        ("smtp://mail.contoso.com?starttls", "a@b.c", "DESKWRIGHT_SMTP_URL"),
        ("smtps://u:secret@mail.contoso.com", None, "DESKWRIGHT_MAIL_FROM"),
        ("smtps://mail.contoso.com", "nobody", "DESKWRIGHT_MAIL_FROM"),
    ],
)
def test_what_is_no_mail_server_is_refused_without_its_password(url: str, sender: str | None, field: str) -> None:
    with pytest.raises(Refused) as refused:
        mail.server(settings(url, sender))
    assert refused.value.field == field
    assert "secret" not in str(refused.value)


def test_without_one_there_is_none_and_a_user_can_be_the_sender() -> None:
    assert mail.server(settings(None)) is None
    assert mail.server(settings("")) is None
    found = mail.server(settings("smtps://desk%40contoso.com:x@mail.contoso.com", None))
    assert found is not None
    assert found.sender.addr_spec == "desk@contoso.com"
