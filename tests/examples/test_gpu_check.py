"""The check of a GPU, on the CPU: its order, limits and table, its bundles, and its checks at the smallest scale."""

import importlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "gpu_check"


@pytest.fixture(scope="module")
def scripts():
    """The modules of the folder by name, which a process of the check finds beside its script."""
    before = list(sys.path)
    sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "smollm2")]
    try:
        yield {
            name: importlib.import_module(name) for name in ("gpu_check", "checks", "bundles", "questions", "stand_ins")
        }
    finally:
        sys.path[:] = before


def test_a_check_that_fails_or_hangs_costs_the_others_nothing(scripts, tmp_path, capsys):
    module = scripts["gpu_check"]
    result = f'print({module.MARK!r} + \'{{"passed": true, "said": "well", "speed": 2}}\', flush=True)'
    code = {
        "first": f"{result}; print({module.MARK!r} + 'a {{', flush=True); import time; time.sleep(60)",
        "second": "raise SystemExit('no such kernel')",
        "third": result,
    }
    checks = [module.Check(name, name, 3.0 if name == "first" else 60.0) for name in code]
    results = module.run_all(
        checks, lambda check, seconds: [sys.executable, "-c", code[check.name]], tmp_path / "out.json", 5, tmp_path
    )
    assert [result.status for result in results] == ["cut", "failed", "passed"]
    assert results[0].figures["speed"] == 2 and results[0].said == "after 3 s; well"  # what it had found is kept
    assert results[1].said == "no such kernel"
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in table] == [["first", "cut"], ["second", "failed"], ["third", "passed"]]
    written = json.loads((tmp_path / "out.json").read_text())["checks"]
    assert [row["status"] for row in written] == ["cut", "failed", "passed"] and written[2]["figures"] == {"speed": 2}


def test_without_time_a_check_is_skipped_and_said_so(scripts, tmp_path):
    module = scripts["gpu_check"]
    (result,) = module.run_all([module.Check("late", "", 60)], lambda *_: [], tmp_path / "out.json", 0, tmp_path)
    assert (result.status, result.said) == ("skipped", "no time was left")


def test_without_a_gpu_nothing_could_be_checked(scripts, tmp_path, monkeypatch, capsys):
    module, checks = scripts["gpu_check"], scripts["checks"]
    monkeypatch.setattr(checks, "stand_in", lambda: None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(
        sys, "argv", ["checks.py", "methods", "--device", "cuda", "--seconds", "9", "--work", str(tmp_path)]
    )
    status = checks.main()
    said = capsys.readouterr().out.strip()
    assert " sees no GPU; --device cpu tries " in said
    code = [sys.executable, "-c", f"print({said!r}); raise SystemExit({status})"]
    result = module.run_check(module.CHECKS[0], code, 60, tmp_path / "log", {})
    assert (result.status, result.said) == ("no gpu", said)
    # A script that Python does not find has not looked for one.
    code = [sys.executable, str(tmp_path / "nobody.py")]
    assert module.run_check(module.CHECKS[0], code, 60, tmp_path / "log", {}).status == "failed"


@pytest.mark.parametrize("weights", [True, False])
def test_parity_needs_no_weights_where_the_bundles_have_none(scripts, tmp_path, monkeypatch, weights):
    checks, looked_at = scripts["checks"], []
    (tmp_path / "world").mkdir()
    (tmp_path / "about.json").write_text("{}")
    if weights:
        (tmp_path / "weights").mkdir()
    monkeypatch.setattr(checks, "smollm2", lambda work: work / "base")
    monkeypatch.setattr(checks, "compare", lambda folder, device: looked_at.append(folder) or {"float32": (0.0, 0.0)})
    (figures,) = checks.parity("cuda", tmp_path, 1.0, True)
    assert looked_at == [tmp_path / ("base" if weights else "world/student")] and figures["passed"]
    assert ("as there are no weights" in figures["said"]) is not weights


def test_exit_statuses(scripts, tmp_path, monkeypatch, capsys):
    module = scripts["gpu_check"]
    status = {"value": "passed"}
    monkeypatch.setattr(module, "run_all", lambda *_: [module.Result("parity", status["value"], 1.0, "", {})])
    (tmp_path / "parity.log").write_text("the end of it")
    monkeypatch.setenv("PYTHONPATH", "")
    given = ["--work", str(tmp_path), "--device", "cpu"]
    assert module.main(given) == 0
    status["value"] = "failed"
    assert module.main(given) == 1 and "the end of it" in capsys.readouterr().err
    status["value"] = "no gpu"
    assert module.main(given) == 2 and not capsys.readouterr().err
    assert module.main([*given, "--checks", "speeed"]) == 2
    assert capsys.readouterr().err.startswith("gpu_check: --checks: there is no speeed; parity, methods, ")


def test_bundles_are_unpacked_and_must_be_whole(scripts, tmp_path):
    module, bundles = scripts["gpu_check"], scripts["bundles"]
    (tmp_path / "weights").write_bytes(bytes(range(100)))
    bundles_limit, bundles.LIMIT = bundles.LIMIT, 40
    try:
        pieces = bundles.parts(tmp_path / "weights", tmp_path)
    finally:
        bundles.LIMIT = bundles_limit
    assert [piece.stat().st_size for piece in pieces] == [34, 34, 32]
    about = {"python": "{}.{}".format(*sys.version_info), "bundles": ["gpu-check-1.tar", "gpu-check-2.tar"]}
    (tmp_path / "about.json").write_text(json.dumps(about))
    with tarfile.open(tmp_path / "gpu-check-1.tar", "w") as tar:
        tar.add(tmp_path / "about.json", "about.json")
        for piece in pieces:
            tar.add(piece, f"weights/{piece.name}")
    with pytest.raises(ValueError, match=r"gpu-check-2\.tar is missing"):
        module.unpack(tmp_path, tmp_path / "work")
    with tarfile.open(tmp_path / "gpu-check-2.tar", "w"):
        pass
    assert module.unpack(tmp_path, tmp_path / "work")
    assert (tmp_path / "work/weights/smollm2.gguf").read_bytes() == bytes(range(100))
    (tmp_path / "about.json").write_text(json.dumps(about | {"python": "3.9"}))
    with tarfile.open(tmp_path / "gpu-check-1.tar", "w") as tar:
        tar.add(tmp_path / "about.json", "about.json")
    with pytest.raises(ValueError, match=r"for Python 3\.9, this is .*--python"):
        module.unpack(tmp_path, tmp_path / "work")


def test_bundles_are_few_and_no_larger_than_they_may_be(scripts, tmp_path, monkeypatch):
    bundles = scripts["bundles"]
    monkeypatch.setattr(bundles, "LIMIT", 100 * 1024)
    files = []
    for i, size in enumerate((60, 50, 40, 30)):
        (tmp_path / str(i)).write_bytes(b"x" * size * 1024)
        files.append((str(i), tmp_path / str(i)))
    assert [[name for name, _ in part] for part in bundles.packed(files)] == [["0", "3"], ["1", "2"]]
    (tmp_path / "0").write_bytes(b"x" * 101 * 1024)
    with pytest.raises(bundles.BundleError, match="a bundle has less than 64"):
        bundles.packed(files)


def test_stand_ins_are_for_what_is_missing_and_raise_when_called(scripts):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import stand_ins; stand_ins.PACKAGES += ('nobody', 'json');"
        "stand_ins.stand_in(); import json; assert json.dumps(1) == '1'; import nobody.util.some;"
        "from nobody import Some;"
        "x: Some[int] | None = None\nclass Own(Some.Inner): pass\n"
        "try: Own()\nexcept RuntimeError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(FOLDER)], capture_output=True, text=True, check=True)
    assert done.stdout == "nobody.Some.Inner is a stand-in: the package is not installed here\n"


def test_questions_have_worked_answers_and_are_apart(scripts, tmp_path):
    import pyarrow.parquet as pq

    scripts["questions"].write(tmp_path, train=40, val=10, sft=20)
    ids = []
    for name, number in (("train", 40), ("val", 10), ("sft", 20)):
        rows = pq.read_table(tmp_path / f"{name}.parquet").to_pylist()
        assert len(rows) == number
        for row in rows:
            answer = row["reward_model"]["ground_truth"]
            assert row["messages"][-1]["content"].endswith(f"\\boxed{{{answer}}}")
        ids += [row["prompt_id"] for row in rows]
    assert len(ids) == len(set(ids))


def test_parity(scripts, world, device):
    checks = scripts["checks"]
    differences = checks.compare(world.student, device)
    assert {f"{device} {dtype} sampled and scored" for dtype in checks.TOLERANCES} <= differences.keys()
    for name, (mean, largest) in differences.items():
        limits = checks.TOLERANCES["bfloat16" if "bfloat16" in name else "float32"]
        assert 0 < mean <= limits[0] and largest <= limits[1], name
    assert differences[f"{device} bfloat16 and cpu float32"][0] > checks.TOLERANCES["float32"][0]  # which would see it


def test_a_step(scripts, world, tmp_path, device):
    checks = scripts["checks"]
    steps = [*checks.in_world(world.root, "method=zppo", "trainer.total_training_steps=1"), "data.train_batch_size=4"]
    (row,) = checks.train(device, tmp_path / "run", *steps)
    assert row["step"] == 1 and row["actor/grad_norm"] >= 0


def test_the_methods_are_those_of_the_paper(scripts):
    checks = scripts["checks"]
    assert set(checks.METHODS) == {
        path.stem for path in (FOLDER.parents[1] / "verl/trainer/config/method").glob("*.yaml")
    } - {"worked_solution"}
