import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.calibration.aggregate import aggregate_file
from agents.calibration.refunds import net
from agents.calibration.sources import load_log
from agents.calibration.sufficient import statistics_of
from agents.errors import InputError

HEADER = "id,customer,date,amount"
ROWS = [
    "1,a,2024-01-01,10.00",
    "2,a,2024-01-05,20.00",
    "3,a,2024-01-09,-25.00",  # 20 of the second, 5 of the first
    "4,a,2024-01-20,7.00",
    "5,b,2024-01-02,-3.00",  # nothing bought before
    "6,b,2024-01-03,4.00",
    "7,b,2024-01-04,-6.00",  # 2 more than was bought
    "8,c,2024-01-25,-1.00",  # nobody
    "9,b,2024-01-22,1.00",
]


def write(folder, rows=ROWS, name="log.csv"):
    file = folder / name
    file.write_text("\n".join([HEADER, *rows]) + "\n")
    return str(file)


def test_refunds_are_subtracted_from_the_latest_earlier_purchases(tmp_path):
    told = []
    log = load_log("csv", write(tmp_path), refunds="net", notify=told.append)
    assert log.customer_label.tolist() == ["a", "b"]
    assert log.amount.tolist() == [500, 0, 700, 0, 100]
    assert log.end_time == 25 * 86_400  # a refund, too, says that the log was being kept
    (line,) = told
    assert "refunds=net: 4 rows with a negative amount; 2 subtracted" in line
    assert "(29.00), 2 without an earlier purchase dropped, 6.00 found nothing" in line
    found = aggregate_file(write(tmp_path), refunds="net", notify=told.append)
    assert told[1] == line
    assert found.refunds in line
    assert found.smallest_amount == 0


def test_refunds_can_be_left_out(tmp_path):
    told = []
    log = load_log("csv", write(tmp_path), refunds="drop", notify=told.append)
    assert log.amount.tolist() == [1000, 2000, 700, 400, 100]
    assert told == [f"{write(tmp_path)}: refunds=drop: 4 rows with a negative amount removed"]
    assert statistics_of(log).n_transactions == 5


def test_refunds_are_refused_unless_asked_for(tmp_path):
    with pytest.raises(InputError, match=r"negative \(-25\) in 4 rows \(4, 6, 8, 9\).*refunds=net"):
        load_log("csv", write(tmp_path))
    with pytest.raises(InputError, match="refunds is 'keep'; allowed: refuse, net, drop"):
        load_log("csv", write(tmp_path), refunds="keep")
    with pytest.raises(InputError, match="no customer with a purchase"):
        load_log("csv", write(tmp_path, ROWS[4:5]), refunds="drop")


def test_a_log_without_refunds_has_nothing_to_tell(tmp_path):
    told = []
    path = write(tmp_path, [row for row in ROWS if ",-" not in row])
    log = load_log("csv", path, refunds="net", notify=told.append)
    assert told == []
    assert aggregate_file(path, refunds="net", notify=told.append).refunds == ""
    assert log.n_transactions == 5


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-50, 50)), max_size=60))
def test_netting_follows_the_rule_and_never_makes_an_amount_negative(rows):
    rows = sorted(rows, key=lambda row: row[0])
    customer = np.array([c for c, _ in rows], np.int64)
    amount = np.array([a for _, a in rows], np.int64)
    purchase, after, subtracted, total = net(customer, amount)
    expected, lowered, taken_off = amount.tolist(), 0, 0
    for at, (who, value) in enumerate(rows):
        before = taken_off
        for earlier in range(at - 1, -1, -1):
            if value >= 0 or rows[earlier][0] != who:
                break
            if amount[earlier] < 0:
                continue
            taken = min(-value, expected[earlier])
            expected[earlier] -= taken
            value += taken
            taken_off += taken
        lowered += taken_off > before
    kept = amount >= 0
    assert purchase.tolist() == kept.tolist()
    assert after[kept].tolist() == np.array(expected, np.int64)[kept].tolist()
    assert (subtracted, total) == (lowered, taken_off)
    assert (after[kept] >= 0).all()
    assert amount[kept].sum() - after[kept].sum() == total
