"""Rule by rule: a short story that goes well, and does not once the rule is broken.

What nobody has thought of is the machine's (`test_state_machine.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from . import broken, clock_stories, stories
from .broken import Break

Story = Callable[[], None]

#: Which story notices each rule of `broken.py`.
PROOFS: dict[Break, Story] = {
    broken.new_rows_wait: stories.a_new_row_goes_at_once,
    broken.nothing_is_renewed: stories.an_active_client_keeps_half_a_grace_if_the_hubs_die,
    broken.renewals_are_late: stories.an_active_client_keeps_half_a_grace_if_the_hubs_die,
    broken.rows_of_others_are_sent: stories.nobody_echoes,
    broken.hidden_rows_are_not_sent: stories.a_login_that_changes_nothing_here_is_sent,
    broken.distrust_keeps_rows: stories.distrust_removes_rows,
    broken.what_failed_is_forgotten: stories.what_failed_is_sent_again,
    broken.the_end_is_not_checked: stories.a_flush_loses_all,
    broken.the_end_is_believed_by_its_presence: stories.a_failover_loses_the_newest_entry,
    broken.a_step_sends_nothing: clock_stories.after_a_step_all_is_sent_again,
    broken.a_step_is_not_seen: clock_stories.after_a_step_all_is_sent_again,
    broken.the_first_offset_is_kept: clock_stories.after_a_step_all_is_sent_again,
    broken.old_messages_are_read_by_the_new_clock: clock_stories.what_was_read_before_a_step_keeps_its_time,
    broken.what_came_before_the_step_was_seen_is_lost: clock_stories.what_comes_before_the_step_is_seen_is_read_again,
    broken.who_is_new_is_read_by_an_old_clock: clock_stories.who_is_trusted_before_the_step_is_seen_is_read_later,
    broken.what_was_missed_is_in_doubt: clock_stories.what_was_missed_is_not_read_by_the_new_clock,
    broken.a_step_is_not_read_again: clock_stories.what_comes_before_the_step_is_seen_is_read_again,
    broken.what_is_left_counts_from_the_reading: stories.a_start_reads_what_was_written_before,
    broken.what_is_known_hides_what_lasts_longer: stories.an_active_client_keeps_half_a_grace_if_the_hubs_die,
    broken.ends_are_rounded_down: stories.no_mirror_ends_a_row_before_its_origin,
    broken.messages_from_the_future_are_taken: clock_stories.messages_of_the_future_are_refused,
    broken.signatures_are_not_checked: stories.nobody_writes_without_the_secret,
    broken.signatures_leave_out_the_stream: stories.nobody_copies_into_another_stream,
    broken.gaps_are_not_seen: stories.a_missing_number_is_read_again,
    broken.silence_is_not_noticed: stories.a_silent_stream_is_read_again,
    broken.nothing_is_read_again: stories.what_a_revoked_row_hid_comes_back,
    broken.reading_starts_at_the_end: stories.a_start_reads_what_was_written_before,
    broken.revoked_rows_come_back: stories.a_revoked_row_stays_away,
    broken.revocations_cover_all_logins: stories.a_later_login_counts,
    broken.revocations_end_with_their_time: stories.it_stays_away_after_the_revocation,
    broken.revocations_are_sent_once: stories.a_revocation_reaches_who_was_away_longer_than_the_streams_reach_back,
    broken.an_undone_revocation_holds: stories.an_undone_revocation_is_over,
    broken.the_later_row_loses: stories.an_active_client_keeps_half_a_grace_if_the_hubs_die,
    broken.sessions_are_sent_whole: stories.a_session_is_sent_for_one_grace,
}


def test_each_rule_has_a_proof() -> None:
    assert set(PROOFS) == set(broken.BROKEN)


@pytest.mark.parametrize("story", dict.fromkeys(PROOFS.values()))
def test_the_rules_hold(story: Story) -> None:
    story()


@pytest.mark.system
@pytest.mark.parametrize(("rule", "story"), PROOFS.items())
def test_a_broken_rule_is_noticed(rule: Break, story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    rule(monkeypatch)
    with pytest.raises(AssertionError):
        story()
