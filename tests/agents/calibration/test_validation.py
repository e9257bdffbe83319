import numpy as np
import pandas as pd
import pytest

from agents.calibration.sources import load_log
from agents.errors import InputError

HEADER = "customer_id,date,amount"
GOOD = ["a,2024-01-01,10.00", "b,2024-01-02,20.50", "a,2024-01-09,5.25"]


def write(folder, rows, header=HEADER, name="log.csv"):
    file = folder / name
    file.write_text("\n".join([header, *rows]) + "\n")
    return str(file)


def test_a_good_file_becomes_a_log(tmp_path):
    log = load_log("csv", write(tmp_path, GOOD))
    assert log.customer_label.tolist() == ["a", "b"]
    assert log.customer.tolist() == [0, 0, 1]
    assert log.time.tolist() == [0, 8 * 86_400, 86_400]
    assert log.amount.tolist() == [1000, 525, 2050]
    assert log.start == pd.Timestamp("2024-01-01")
    assert log.end_time == 9 * 86_400
    assert log.contactable is None


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        (["a,2024-13-01,1"], ["'date'", "not a date", "2024-13-01", "(5)", "ISO 8601"]),
        (["a,03/04/2024,1"], ["'date'", "not a date", "(5)"]),
        (["a,,1"], ["'date'", "not a date", "(5)"]),
        (["a,2999-01-01,1"], ["'date'", "in the future", "(5)", "up to now"]),
        (["a,2024-02-01,-3"], ["'amount'", "negative (-3)", "(5)", "refunds=net", "refunds=drop"]),
        (["a,2024-02-01,twelve"], ["'amount'", "not a finite number", "twelve", "(5)"]),
        (["a,2024-02-01,"], ["'amount'", "not a finite number", "(5)"]),
        (["a,2024-02-01,nan"], ["'amount'", "not a finite number", "(5)"]),
        (["a,2024-02-01,inf"], ["'amount'", "not a finite number", "(5)"]),
        (["a,2024-02-01,1e300"], ["'amount'", "too large", "(5)"]),
        ([",2024-02-01,1", " ,2024-02-01,2"], ["'customer_id'", "missing", "2 rows", "(5, 6)"]),
        ([GOOD[1], GOOD[1]], ["exact copy", "2 rows", "(5, 6)", "transaction id"]),
        (["a,2024-02-01T10:00:00+01:00,1"], ["'date'", "offset", "1 row", "(5)"]),
        ([f"a,2024-02-01,{-k}" for k in range(1, 9)], ["8 rows", "(5, 6, 7, 8, 9, ...)"]),
        (["", "a,2024-02-01,-1"], ["(6)"]),
    ],
)
def test_a_bad_row_is_named_in_one_line(tmp_path, rows, parts):
    path = write(tmp_path, GOOD + rows)
    with pytest.raises(InputError) as caught:
        load_log("csv", path)
    message = str(caught.value)
    assert "\n" not in message
    for part in [path, "allowed", *parts]:
        assert part in message


def test_a_missing_column_lists_what_is_there_and_what_is_accepted(tmp_path):
    path = write(tmp_path, ["a,2024-01-01,1"], header="who,date,amount")
    with pytest.raises(InputError, match=r"no column for customer; present: who, date, amount.*id"):
        load_log("csv", path)
    assert load_log_named(tmp_path).n_customers == 2
    with pytest.raises(InputError, match="'whom' given for customer is missing"):
        load_log("csv", path, {"customer": "whom"})
    with pytest.raises(InputError, match="'client' is no field; allowed: customer, time, amount"):
        load_log("csv", path, {"client": "who"})


def load_log_named(folder):
    path = write(folder, GOOD, header="who,when,worth", name="named.csv")
    return load_log("csv", path, {"customer": "who", "time": "when", "amount": "worth"})


def test_missing_empty_and_unreadable_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_log("csv", str(tmp_path / "absent.csv"))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="the file is empty"):
        load_log("csv", str(tmp_path / "empty.csv"))
    with pytest.raises(InputError, match="no rows"):
        load_log("csv", write(tmp_path, []))
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00garbage\n\x00")
    with pytest.raises(InputError, match="unreadable"):
        load_log("csv", str(tmp_path / "bytes.csv"))
    (tmp_path / "cut.parquet").write_bytes(b"PAR1garbage")
    with pytest.raises(InputError, match="unreadable"):
        load_log("csv", str(tmp_path / "cut.parquet"))


def test_one_customer_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"one customer only \('a'\)"):
        load_log("csv", write(tmp_path, ["a,2024-01-01,1", "a,2024-01-02,2"]))


def test_unknown_source_zone_and_origin_are_refused(tmp_path):
    path = write(tmp_path, GOOD)
    with pytest.raises(InputError, match="allowed: completejourney, cdnow, csv"):
        load_log("excel", path)
    with pytest.raises(InputError, match="path is missing"):
        load_log("csv")
    with pytest.raises(InputError, match=r"Mars/Olympus.*IANA"):
        load_log("csv", path, time_zone="Mars/Olympus")
    with pytest.raises(InputError, match="origin is 'birth'"):
        load_log("csv", path, origin="birth")


def test_times_with_an_offset_become_local_wall_clock(tmp_path):
    rows = ["a,2024-03-31T00:30:00Z,1", "b,2024-03-31T01:30:00Z,2"]
    log = load_log("csv", write(tmp_path, rows), time_zone="Europe/Berlin")
    assert log.time.tolist() == [5_400, 12_600]  # 01:30 and 03:30: the clock jumped at 02:00


def test_separators_quotes_dates_without_dashes_and_parquet_are_read(tmp_path):
    rows = ['"a";20240101;1.005', "b;20240102;2"]
    log = load_log(
        "csv",
        write(tmp_path, rows, header="Customer ID;Order-Date;Sales Value", name="semicolon.csv"),
        {"time": "Order-Date"},
    )
    assert log.amount.tolist() == [101, 200]
    frame = pd.DataFrame(
        {"user_id": [7, 8], "timestamp": pd.to_datetime(["2024-01-01", "2024-01-02"]),
         "value": [1.5, 2.5]}
    )  # fmt: skip
    frame.to_parquet(tmp_path / "log.parquet")
    log = load_log("csv", str(tmp_path / "log.parquet"))
    assert log.customer_label.tolist() == ["7", "8"]
    frame.assign(value=[1.0, -1.0]).to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(InputError, match=r"negative \(-1\) in 1 row \(2\)"):
        load_log("csv", str(tmp_path / "bad.parquet"))


def test_equal_purchases_told_apart_by_an_id_are_kept(tmp_path):
    rows = ["1,a,2024-01-01,5", "2,a,2024-01-01,5", "3,b,2024-01-01,5"]
    log = load_log("csv", write(tmp_path, rows, header="basket,customer,date,amount"))
    assert log.n_transactions == 3


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("2024-03-31T00:30:00Z", "2024-03-31 01:30:00"),
        ("2024-03-31 01:30:00 +00:00", "2024-03-31 03:30:00"),  # past the missing hour
        ("2024-03-31T06:30:00+0530", "2024-03-31 03:00:00"),
        ("2024-03-30T23:30:00-02", "2024-03-31 03:30:00"),
        ("2024-10-27T00:30:00Z", "2024-10-27 02:30:00"),  # twice on the clock
        ("2024-10-27T01:30:00Z", "2024-10-27 02:30:00"),
        ("2024-03-31T00:30:00.999999Z", "2024-03-31 01:30:00"),
    ],
)
def test_mixed_offsets_are_converted_to_one_wall_clock(tmp_path, text, local):
    rows = ["a,2024-01-01T00:00:00Z,1", f"b,{text},2"]
    log = load_log("csv", write(tmp_path, rows), time_zone="Europe/Berlin")
    assert log.start + pd.Timedelta(seconds=int(log.time[1])) == pd.Timestamp(local)
    frame = pd.DataFrame(
        {
            "id": ["a", "b"],
            "time": pd.to_datetime(["2024-01-01T00:00Z", text], utc=True, format="ISO8601"),
            "paid": [1.0, 2.0],
        }
    )
    frame.to_parquet(tmp_path / "log.parquet")
    again = load_log("csv", str(tmp_path / "log.parquet"), time_zone="Europe/Berlin")
    assert again.time.tolist() == log.time.tolist()


def test_times_without_offset_are_taken_as_they_stand(tmp_path):
    rows = ["a,2024-01-01,1", "b,2024-03-31 02:30:00,2"]  # an hour that Berlin does not have
    log = load_log("csv", write(tmp_path, rows), time_zone="Europe/Berlin")
    assert log.start + pd.Timedelta(seconds=int(log.time[1])) == pd.Timestamp("2024-03-31 02:30")


def test_lines_within_quotes_blank_lines_and_short_rows_keep_their_numbers(tmp_path):
    rows = ['a,2024-01-01,1,"two', 'lines"', "", ",,,", "b,2024-01-02", "a,2024-01-03,5,x"]
    with pytest.raises(InputError, match=r"not a finite number \(empty\) in 1 row \(5\)"):
        load_log("csv", write(tmp_path, rows, header="customer,date,amount,note"))
    long = ["a,2024-01-01,1,x,y,z"]
    with pytest.raises(InputError, match=r"unreadable \(.*Line: 5.*Found: 5\)") as caught:
        load_log("csv", write(tmp_path, [f"{row},n" for row in GOOD] + long, HEADER + ",note"))
    assert "\n" not in str(caught.value)


def test_a_name_with_signs_of_a_pattern_is_this_file_only(tmp_path):
    write(tmp_path, ["z,2020-01-01,9"], name="log1.csv")
    for name in ("log[1].csv", "log*.csv", "log?.csv", "it's.csv"):
        assert load_log("csv", write(tmp_path, GOOD, name=name)).n_transactions == 3


def test_years_that_no_log_has_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"too early \('?0204-01-01.*in 1 row \(5\).*from 1900"):
        load_log("csv", write(tmp_path, [*GOOD, "a,0204-01-01,1"]))


def test_rows_are_numbered_in_a_large_file_too(tmp_path):
    rows = [f"c{k % 999},2024-01-01 00:00:{k % 60:02d},{k}.5" for k in range(300_000)]
    rows[250_000] = "c1,2024-01-01,minus"
    rows[100] = ""
    with pytest.raises(InputError, match=r"\('minus'\) in 1 row \(250002\)"):
        load_log("csv", write(tmp_path, rows))
    rows[250_000] = rows[299_999]
    with pytest.raises(InputError, match=r"exact copy of an earlier one in 1 row \(300001\)"):
        load_log("csv", write(tmp_path, rows))


def test_numbers_as_ids_and_whole_numbers_as_dates_are_read_from_parquet(tmp_path):
    frame = pd.DataFrame({"id": [10, 9], "date": [20240101, 20240229], "amount": [1, 2]})
    frame.to_parquet(tmp_path / "log.parquet")
    log = load_log("csv", str(tmp_path / "log.parquet"))
    assert log.customer_label.tolist() == ["10", "9"]
    assert log.time.tolist() == [0, 59 * 86_400]


@pytest.mark.slow
def test_a_million_rows_are_checked_quickly(tmp_path):
    import time

    rng = np.random.default_rng(0)
    n = 1_000_000
    frame = pd.DataFrame(
        {
            "basket": np.arange(n),
            "customer": rng.integers(0, 50_000, n),
            "time": pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 3e7, n), "s"),
            "amount": rng.integers(1, 10_000, n) / 100,
        }
    )
    frame.to_csv(tmp_path / "large.csv", index=False)
    began = time.perf_counter()
    log = load_log("csv", str(tmp_path / "large.csv"))
    assert log.n_transactions == n
    assert time.perf_counter() - began < 30
