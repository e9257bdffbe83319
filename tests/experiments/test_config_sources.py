"""Folders and packages bring options of their own, and a name means one file."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from agents.errors import InputError
from experiments.cli import _FOLDERS, main
from experiments.config import compose_demo, compose_simulate, load_option, options
from experiments.config_sources import ENTRY_POINT_GROUP, FOLDERS_VARIABLE

CONF = Path(__file__).resolve().parents[2] / "conf"
START = "defaults:\n  - /behaviour/{group}@_here_\n  - _self_\n\n"


def write(folder: Path, group: str, name: str, text: str) -> Path:
    path = folder / group / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one option of four groups; its name needs quoting everywhere."""
    folder = tmp_path / "my, 'own' (conf)"
    start = START.format(group="response")
    write(folder, "response", "mine", f"{start}goal_gradient: 0.3\n")
    shutil.copy(CONF / "world" / "coffee_shop.yaml", write(folder, "world", "kiosk", ""))
    kiosk = folder / "world" / "kiosk.yaml"
    kiosk.write_text(kiosk.read_text("utf-8").replace("name: coffee_shop", "name: kiosk"), "utf-8")
    write(folder, "programme", "plain", "name: plain\nactive: true\nbreakage: 0.2\n")
    write(
        folder,
        "offers",
        "one",
        "offers: [{name: a, kind: discount, depth: 0.1, cap: 1.0}]\nchannels: [sms]\n",
    )
    monkeypatch.setenv(FOLDERS_VARIABLE, str(folder))
    return folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution with an entry point; returns its folder of options."""
    name = f"shop_{abs(hash(tmp_path)) % 10**8}"
    folder = tmp_path / "site" / name / "conf"
    write(folder, "response", "packaged", START.format(group="response") + "saturation: 0.5\n")
    (folder.parent / "__init__.py").write_text("")
    info = tmp_path / "site" / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\nshop = {name}.conf\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return folder


def test_options_of_a_folder_are_listed_and_compose(folder: Path) -> None:
    assert {"mine", "literature", "null"} <= set(options("response"))
    config = compose_simulate(["response=mine", "world=kiosk", "programme=plain", "offers=one"])
    assert (config.response.name, config.response.goal_gradient) == ("mine", 0.3)
    assert config.response.momentum_log_rate == 0.05
    assert (config.world.name, config.world.contribution_margin) == ("kiosk", 0.65)
    assert (config.programme.name, config.programme.breakage) == ("plain", 0.2)
    assert (config.offers.name, config.offers.channels) == ("one", ("sms",))


def test_options_of_a_folder_take_overrides_and_serve_wherever_a_name_does(folder: Path) -> None:
    config = compose_demo(["response=mine", "response.saturation=0.1", "evaluate.responses=[mine]"])
    assert (config.response.goal_gradient, config.response.saturation) == (0.3, 0.1)
    assert config.train.responses == ("mine",)
    assert load_option("response", "mine").saturation == 0.3
    assert compose_simulate(["against=plain"]).against == "plain"
    assert compose_demo(["data=cdnow", "data.world=kiosk"]).world.name == "kiosk"


def test_a_name_left_out_is_that_of_the_file(folder: Path) -> None:
    assert "name" not in (folder / "response" / "mine.yaml").read_text("utf-8")
    assert load_option("response", "mine").name == "mine"
    assert compose_demo(["response=mine"]).train.responses == ("mine",)


def test_a_file_may_start_from_another_option(folder: Path) -> None:
    text = "defaults:\n  - {start}\n  - _self_\n\n"
    write(folder, "response", "more", text.format(start="optimistic") + "name: more\n")
    write(folder, "response", "same", text.format(start="mine") + "momentum_weeks: 3\n")
    more = load_option("response", "more")
    assert (more.name, more.goal_gradient, more.off) == ("more", 0.44, ("fatigue",))
    same = load_option("response", "same")
    assert (same.name, same.goal_gradient, same.momentum_weeks) == ("same", 0.3, 3.0)
    write(folder, "response", "less", text.format(start="optimistic"))
    with pytest.raises(InputError, match="its name is 'optimistic'; write name: less"):
        load_option("response", "less")


def test_suggestions_know_options_of_plug_ins(folder: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'kiosk'"):
        compose_demo(["world=kiosc"])


def test_several_folders_are_separated_as_in_path(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    write(other, "response", "theirs", START.format(group="response"))
    monkeypatch.setenv(FOLDERS_VARIABLE, os.pathsep.join([str(folder), str(other), str(folder)]))
    assert {"mine", "theirs"} <= set(options("response"))
    assert compose_demo(["response=theirs"]).response.name == "theirs"


def test_options_of_a_package_are_listed_and_compose(package: Path) -> None:
    assert "packaged" in options("response")
    config = compose_demo(["response=packaged"])
    assert (config.response.saturation, config.response.goal_gradient) == (0.5, 0.22)


def test_a_package_in_an_archive_serves_as_well(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "__init__.py").write_text("")
    site = package.parents[1]
    archive = shutil.make_archive(str(site.parent / "packed"), "zip", site)
    shutil.rmtree(site)
    monkeypatch.syspath_prepend(archive)
    assert "packaged" in options("response")
    assert compose_demo(["response=packaged"]).response.saturation == 0.5


def test_a_name_that_exists_twice_is_refused_with_both_places(folder: Path, package: Path) -> None:
    write(folder, "response", "literature", START.format(group="response"))
    with pytest.raises(InputError) as caught:
        compose_demo()
    assert "response=literature exists twice, in conf and in" in str(caught.value)
    assert str(folder) in str(caught.value)
    (folder / "response" / "literature.yaml").unlink()
    write(package, "response", "mine", START.format(group="response"))
    with pytest.raises(InputError) as caught:
        compose_demo()
    assert str(folder) in str(caught.value)
    assert ENTRY_POINT_GROUP in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("goal_gradien: 0.3\n", ["'response.goal_gradien'", "did you mean"]),
        ("goal_gradient: high\n", ["response.goal_gradient='high'", "a number"]),
        ("goal_gradient: 9\n", ["response.goal_gradient=9.0"]),
        ("off: [fatigue]\n", ["response", '"off" in quotes']),
        ('"off": [fatige]\n', ["response.off='fatige'"]),
        ("name: literature\n", ["its name is 'literature'", "write name: bad"]),
        ("goal_gradient: [1\n", ["line 6", "no YAML"]),
        ("a: b: c\n", ["line 5", "no YAML"]),
        ("plugged: {zeal: 1}\n", ["response", "zeal"]),
    ],
)
def test_what_is_wrong_in_a_file_names_field_and_file(
    folder: Path, text: str, words: list[str]
) -> None:
    write(folder, "response", "bad", START.format(group="response") + text)
    with pytest.raises(InputError) as caught:
        compose_demo(["response=bad"])
    message = str(caught.value)
    assert "\n" not in message
    for word in (*words, str(folder), "response=bad"):
        assert word in message


def test_a_defaults_list_that_leads_nowhere_is_one_line(folder: Path) -> None:
    write(folder, "response", "bad", "defaults:\n  - /behaviour/respons@_here_\n  - _self_\n")
    with pytest.raises(InputError, match=r"^In 'response/bad': Could not load 'behaviour/respons'"):
        compose_demo(["response=bad"])


def test_a_file_of_other_bytes_is_one_line(folder: Path) -> None:
    (folder / "response" / "bad.yaml").write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(InputError) as caught:
        compose_demo(["response=bad"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (None, ["no such folder", FOLDERS_VARIABLE]),
        ("", ["holds none of the folders", "programme"]),
        ("responses", ["it has responses", "did you mean 'response'"]),
    ],
)
def test_a_folder_that_holds_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: str | None, words: list[str]
) -> None:
    folder = tmp_path / "empty"
    if make is not None:
        (folder / make).mkdir(parents=True)
    monkeypatch.setenv(FOLDERS_VARIABLE, str(folder))
    with pytest.raises(InputError) as caught:
        compose_demo()
    for word in (*words, str(folder)):
        assert word in str(caught.value)


def test_a_package_that_is_not_there_is_refused(package: Path) -> None:
    shutil.rmtree(package)
    with pytest.raises(InputError, match="there is no such Python package"):
        compose_demo()


def test_the_command_and_the_configuration_mean_the_same_variable() -> None:
    assert _FOLDERS == FOLDERS_VARIABLE


def test_the_command_takes_folders_and_forgets_them(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(FOLDERS_VARIABLE, str(folder))
    other = tmp_path / "other"
    write(other, "response", "theirs", START.format(group="response"))
    monkeypatch.chdir(tmp_path)
    assert main(["--config-dir", "other", "config", "response=theirs", "world=kiosk"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^# response: .*mine.*theirs", shown, flags=re.MULTILINE)
    assert "\n  name: theirs\n" in shown
    assert os.environ[FOLDERS_VARIABLE] == str(folder)
    assert main(["config", "response=theirs"]) == 2
    monkeypatch.delenv(FOLDERS_VARIABLE)
    assert main(["--config-dir", "other", "config", "response=theirs"]) == 0
    assert FOLDERS_VARIABLE not in os.environ


@pytest.mark.parametrize(
    ("folders", "words"),
    [(["nowhere"], ["nowhere", "no such folder"]), ([f"a{os.pathsep}b"], ["cannot hold"])],
)
def test_a_wrong_folder_on_the_command_line_is_one_line(
    folders: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word for name in folders for word in ("--config-dir", name)] + ["config"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    for word in words:
        assert word in shown.err


def test_tracebacks_are_asked_for_after_a_folder_too(folder: Path) -> None:
    with pytest.raises(InputError):
        main(["--config-dir", str(folder), "--debug", "config", "seed=x"])
    assert main(["--config-dir", "--debug", "config", "seed=x"]) == 2


def test_nothing_of_a_plug_in_is_left_in_the_process(package: Path) -> None:
    assert "packaged" in options("response")
    sys.path.remove(str(package.parents[1]))
    assert "packaged" not in options("response")
