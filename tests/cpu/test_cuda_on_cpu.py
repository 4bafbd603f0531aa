"""CUDA's names on the CPU, and nothing of them outside."""

import types

import pytest
import torch

from recipe.cpu.cuda_on_cpu import CudaOnCpu


def test_tensors_for_cuda_are_made_on_the_cpu() -> None:
    with CudaOnCpu():
        made = [torch.zeros(2, device="cuda"), torch.tensor([1.0], device=torch.device("cuda", 3))]
        made += [torch.ones(1, device=torch.cuda.current_device()), torch.ones(1).cuda(), torch.ones(1).to("cuda:0")]
        made += [torch.nn.Linear(2, 2).cuda(torch.cuda.current_device()).weight]
        assert {tensor.device.type for tensor in made} == {"cpu"}
        assert torch.ones(1).type() == "torch.cuda.FloatTensor"
        assert torch.ones(1).type(torch.bfloat16).dtype == torch.bfloat16


def test_what_is_asked_of_the_device_is_answered() -> None:
    called = []
    module = types.SimpleNamespace(_lazy_call=None)
    with CudaOnCpu(module):
        torch.cuda.manual_seed(3)
        state = torch.cuda.get_rng_state()
        drawn = torch.rand(2)
        torch.cuda.default_generators[torch.cuda.current_device()].set_state(state)
        assert torch.equal(torch.rand(2), drawn)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            torch.cuda.synchronize()
        module._lazy_call(lambda: called.append(1))
    assert called == [1]
    assert module._lazy_call is None


def test_nothing_is_left_behind() -> None:
    before = torch.cuda.current_device, torch.cuda.Stream
    with CudaOnCpu():
        with CudaOnCpu():
            pass
        assert torch.zeros(1, device="cuda").device.type == "cpu"  # still within the outer one
    assert (torch.cuda.current_device, torch.cuda.Stream) == before
    assert torch.ones(1).type() == "torch.FloatTensor"
    if not torch.cuda.is_available():
        with pytest.raises((AssertionError, RuntimeError)):
            torch.zeros(1, device="cuda")
