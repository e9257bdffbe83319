"""What a programme has announced and not yet put into force."""

from dataclasses import dataclass

from sim.goalposts import Goalposts
from sim.programme import ProgrammeParameters
from sim.redesign import better_of, check_change, same_terms


@dataclass(frozen=True)
class Notice:
    """Terms announced, in force from the start of ``week``."""

    week: int
    programme: ProgrammeParameters


class Notices:
    """Announcements of one programme: nothing gets worse before its notice period is over.

    Parameters
    ----------
    programme
        Terms in force.
    goalposts
        Has the notice period.
    improve_at_once
        What is better for members than the terms in force, or than terms announced, holds at once;
        otherwise it waits like the rest.
    """

    def __init__(
        self, programme: ProgrammeParameters, goalposts: Goalposts, improve_at_once: bool = True
    ) -> None:
        self.in_force = programme
        self.goalposts = goalposts
        self.improve_at_once = improve_at_once
        self.pending: tuple[Notice, ...] = ()

    @property
    def latest(self) -> ProgrammeParameters:
        """Terms that hold when all that was announced is in force."""
        return self.pending[-1].programme if self.pending else self.in_force

    def announce(self, programme: ProgrammeParameters, week: int) -> None:
        """Announce terms at the start of ``week``, which ``due`` hands over when they hold.

        Raises
        ------
        ValueError
            If they differ in what cannot change (``sim.redesign.check_change``).
        """
        check_change(self.in_force, programme)
        if same_terms(self.latest, programme):
            return
        effect = Notice(week + self.goalposts.notice_weeks, programme)
        if not self.improve_at_once:
            self.pending += (effect,)
            return
        terms = self.in_force
        notices = [Notice(week, better_of(self.in_force, programme))]
        notices += [Notice(n.week, better_of(n.programme, programme)) for n in self.pending]
        self.pending = ()
        for notice in (*notices, effect):
            if not same_terms(terms, notice.programme):
                self.pending += (notice,)
                terms = notice.programme

    def due(self, week: int) -> tuple[ProgrammeParameters, ...]:
        """Terms whose time has come, in order; they count as in force from now on."""
        ready = tuple(n.programme for n in self.pending if n.week <= week)
        self.pending = tuple(n for n in self.pending if n.week > week)
        if ready:
            self.in_force = ready[-1]
        return ready
