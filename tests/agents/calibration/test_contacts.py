"""Contacts are read, checked and matched to their log, or refused in one line."""

import numpy as np
import pandas as pd
import pytest

from agents.calibration.contacts import (
    ContactLog,
    load_contacts,
    log_pre_rate,
    targeting,
    wholly_observed,
)
from agents.calibration.log import SECONDS_PER_DAY, TransactionLog
from agents.errors import InputError

ROWS = [
    ("a", "may", "mail", "2024-03-04", "2024-03-17", 1),
    ("a", "june", "post", "2024-03-25", "2024-03-31", 0),
    ("b", "may", "mail", "2024-03-04", "2024-03-17", 0),
]
COLUMNS = ["customer", "campaign", "kind", "start", "end", "redeemed"]


@pytest.fixture
def log():
    """Two customers; a buys daily in the first 63 days, b never."""
    days = np.arange(63)
    return TransactionLog(
        name="small",
        customer=np.zeros(63, np.int64),
        time=days * SECONDS_PER_DAY + 5,
        amount=np.full(63, 100),
        customer_label=np.array(["a", "b"]),
        start=pd.Timestamp("2024-01-01"),
        end_time=91 * SECONDS_PER_DAY,
        origin="log_start",
        time_zone="UTC",
    )


def written(tmp_path, rows=ROWS, columns=COLUMNS, name="contacts.csv"):
    file = tmp_path / name
    frame = pd.DataFrame(rows, columns=columns)
    if name.endswith("parquet"):
        frame.to_parquet(file)
    else:
        frame.to_csv(file, index=False)
    return str(file)


@pytest.mark.parametrize("name", ["contacts.csv", "contacts.parquet"])
def test_a_file_of_contacts_belongs_to_its_log(tmp_path, log, name):
    contacts = load_contacts(written(tmp_path, ROWS[::-1], name=name), log)
    assert contacts.kinds == ("mail", "post")
    assert contacts.campaigns == ("june", "may")
    assert contacts.customer.tolist() == [0, 0, 1]
    assert contacts.campaign.tolist() == [0, 1, 1]
    assert contacts.start_day.tolist() == [84, 63, 63]
    assert contacts.end_day.tolist() == [91, 77, 77]
    assert contacts.redeemed.tolist() == [False, True, False]
    assert contacts.shares().tolist() == [0.5, 0.0]
    assert contacts.n_customers == 2


def test_contacts_of_strangers_are_left_out_and_counted(tmp_path, log):
    said = []
    stranger = ("c", *ROWS[0][1:])
    contacts = load_contacts(written(tmp_path, [*ROWS, stranger]), log, said.append)
    assert len(contacts) == 3
    assert "1 of 4 contacts left out" in said[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": "soon"}, r"column start, row 3: not a date \('soon'\); allowed: YYYY-MM-DD"),
        ({"end": "2024-03-01"}, r"column end, row 3: before the start .*allowed: .*last day"),
        ({"redeemed": 2}, r"column redeemed, row 3: neither yes nor no \('2'\); allowed: 0 or 1"),
        ({"kind": " "}, r"column kind, row 3: no value"),
        ({"campaign": "may"}, r"column customer, row 3: a second row for the same campaign"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(tmp_path, log, change, message):
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
    rows[1] |= change
    file = written(tmp_path, [tuple(row.values()) for row in rows])
    with pytest.raises(InputError, match=message) as refused:
        load_contacts(file, log)
    assert str(refused.value).startswith(file)
    assert "\n" not in str(refused.value)


def test_many_bad_rows_are_counted(tmp_path, log):
    rows = [(str(k), "may", "mail", "x", "2024-03-17", 0) for k in range(9)]
    with pytest.raises(InputError, match="column start, rows 2, 3, 4 and 6 more"):
        load_contacts(written(tmp_path, rows), log)


def test_a_file_that_is_no_table_of_contacts_is_refused(tmp_path, log):
    with pytest.raises(InputError, match="no such file; allowed: completejourney, or a CSV"):
        load_contacts(str(tmp_path / "none.csv"), log)
    with pytest.raises(InputError, match="no column 'redeemed'; present: customer"):
        load_contacts(written(tmp_path, [row[:5] for row in ROWS], COLUMNS[:5]), log)
    with pytest.raises(InputError, match="no rows"):
        load_contacts(written(tmp_path, []), log)
    with pytest.raises(InputError, match="none of the 1 contacts is of a customer of the log"):
        load_contacts(written(tmp_path, [("z", *ROWS[0][1:])]), log)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x01" * 9)
    with pytest.raises(InputError, match="not a readable table"):
        load_contacts(str(binary), log)


def test_contacts_that_do_not_fit_are_refused_at_construction(tmp_path, log):
    contacts = load_contacts(written(tmp_path), log)
    with pytest.raises(ValueError, match="one value per row"):
        ContactLog(**vars(contacts) | {"kind": contacts.kind[:1]})
    with pytest.raises(ValueError, match="sorted"):
        contacts.select(np.array([2, 0, 1]))
    with pytest.raises(ValueError, match="kind codes must lie in"):
        ContactLog(**vars(contacts) | {"kinds": ("mail",)})


def test_the_pre_rate_counts_the_eight_weeks_before(log):
    customer, start = np.array([0, 1, 0, 0]), np.array([63, 63, 84, 7])
    expected = [57 / 8, 1 / 8, 36 / 8, 8 / 1]
    assert np.exp(log_pre_rate(log, customer, start)) == pytest.approx(expected)


def test_only_campaigns_that_the_log_covers_are_kept(tmp_path, log):
    rows = [
        *ROWS,
        ("a", "early", "mail", "2024-01-05", "2024-01-20", 0),
        ("b", "late", "mail", "2024-03-25", "2024-04-01", 0),
    ]
    inside = wholly_observed(load_contacts(written(tmp_path, rows), log), log)
    assert [inside.campaigns[code] for code in inside.campaign] == ["june", "may", "may"]
    with pytest.raises(InputError, match="none of 1 contacts lies within the log small"):
        wholly_observed(load_contacts(written(tmp_path, rows[-1:]), log), log)


def test_targeting_is_how_much_more_the_contacted_buy(tmp_path, log):
    contacts = load_contacts(written(tmp_path, ROWS[:1]), log)
    assert targeting(log, contacts) == pytest.approx((np.log(57 / 8) - np.log(1 / 8)) / 2)


def test_complete_journey_has_the_contacts_that_were_published(complete_journey):
    contacts = load_contacts("completejourney", complete_journey)
    assert len(contacts.campaigns) == 27
    assert contacts.n_customers == 1_559
    assert contacts.kinds == ("Type A", "Type B", "Type C")
    assert contacts.shares() == pytest.approx([0.166, 0.065, 0.059], abs=5e-4)
    assert contacts.coupons.sum() == 2_102
