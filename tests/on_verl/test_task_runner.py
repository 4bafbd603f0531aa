"""The endpoint's key on its way from the command's environment to workers that lack it."""

import os
import pickle

from recipe.zppo.on_verl.task_runner import TaskRunnerWith, ZPPOTaskRunner
from recipe.zppo.teacher.secret import Secret
from tests.teacher.fake_endpoint import KEY


class Actor:
    """What Ray makes of a class, as far as verl's `run_ppo` uses it."""

    def __init__(self, **options):
        self.chosen = options

    def options(self, **options):
        return Actor(**options)

    def remote(self, *arguments):
        return self.chosen, arguments


def test_verl_makes_the_task_runner_with_the_secrets_that_it_does_not_know_of():
    secrets = {"MY_KEY": Secret(KEY)}
    assert TaskRunnerWith(secrets, Actor()).remote() == ({}, (secrets,))
    assert TaskRunnerWith(secrets, Actor()).options(runtime_env={"a": 1}).remote() == (
        {"runtime_env": {"a": 1}},
        (secrets,),
    )
    assert KEY not in repr(secrets)


def test_the_task_runner_puts_them_into_its_environment(monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    secrets = pickle.loads(pickle.dumps({"MY_KEY": Secret(KEY)}))
    plain = ZPPOTaskRunner.__ray_metadata__.modified_class
    plain(secrets)
    assert os.environ["MY_KEY"] == KEY
    plain({"MY_KEY": Secret("another")})  # the node's own comes first
    assert os.environ.pop("MY_KEY") == KEY
    plain()
