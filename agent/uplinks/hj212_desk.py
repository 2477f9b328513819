"""Where the requests of one platform come in and their answers go out; acts go on record, changed terms are kept."""

from collections.abc import Mapping

from agent.uplinks.hj212_acts import Acts
from agent.uplinks.hj212_requests import Answer, Handler, Requests
from agent.uplinks.hj212_terms import Terms
from host.hj212 import Link
from protocols.hj212.commands import commands
from protocols.hj212.message import Message
from protocols.hj212.session import Commanded, Identity
from protocols.hj212.station import StationSession


class Desk:
    """Of one uplink; `link` is the open connection."""

    def __init__(self, handlers: Mapping[str, Handler], terms: Terms, acts: Acts) -> None:
        self._requests = Requests(handlers, self._conclude)
        self._terms, self._acts = terms, acts
        self._session: StationSession | None = None
        self.link: Link | None = None
        self.handled = frozenset(handlers)

    def serve(self, session: StationSession) -> None:
        """Answer by this session."""
        self._session = session
        self._terms.adopt = self._adopt

    def _adopt(self, identity: Identity) -> None:
        assert self._session is not None
        self._session.identity = identity

    async def run(self) -> None:
        """Handle requests for ever."""
        await self._requests.run()

    def start(self, message: Message) -> None:
        """Have a request handled."""
        self._requests.start(message)

    def commanded(self, act: Commanded) -> None:
        """The session changed its own link, or refused: what it changed outlives a restart."""
        self._acts.commanded(act)
        try:
            self._terms.keep_state()
        except OSError as error:
            self._acts.post("link-state-not-kept", cn=act.cn, reason=str(error.strerror))

    def _conclude(self, message: Message, answer: Answer) -> None:
        """A request was handled: its data and result go out where the platform is still there."""
        session = self._session
        assert session is not None
        if commands(session.identity.edition)[message.cn, "to_station"].effect == "station":
            self._acts.concluded(message, answer)
        outputs = [output for area in answer.data for output in session.answer(message.qn, area)]
        # Without a connection they are kept by the session, for a platform that repeats its request.
        outputs += session.finish(message.qn, answer.code)
        if self.link is not None:
            self.link.perform(outputs)
        if answer.then is not None:
            answer.then()
