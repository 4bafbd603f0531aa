"""What a Kubernetes manifest has that its CustomResourceDefinition does not know, or knows otherwise.

    helm repo add kuberay https://ray-project.github.io/kuberay-helm/
    helm show crds kuberay/kuberay-operator --version 1.7.0 > crds.yaml
    python -m tests.examples.crd crds.yaml examples/zppo_trainer/rayjob_qwen3_5.yaml

Prints a line a mistake; exit status 0 without any. The tests do without KubeRay's definitions, which are large and not
ours.
"""

import sys
from pathlib import Path
from typing import Any

import jsonschema
import yaml


def strict(schema: Any) -> Any:
    """An OpenAPI schema as JSON schema in which no other keys than those named are let through."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    known = {key: strict(value) for key, value in schema.items() if key not in ("format", "description")}
    if isinstance(schema.get("properties"), dict):  # names of fields, `format` and `description` among them
        known["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
    if schema.get("x-kubernetes-int-or-string"):
        known["type"] = ["integer", "string"]
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        known.setdefault("additionalProperties", False)
    return known


def mistakes(definitions: list[dict[str, Any]], manifest: dict[str, Any]) -> list[str]:
    """A line for each, of a manifest against the definition of its kind and version."""
    group, _, version = manifest["apiVersion"].partition("/")
    for definition in definitions:
        spec = definition["spec"]
        if (spec["group"], spec["names"]["kind"]) == (group, manifest["kind"]):
            for served in spec["versions"]:
                if served["name"] == version and served["served"]:
                    schema = strict(served["schema"]["openAPIV3Schema"])
                    found = jsonschema.Draft7Validator(schema).iter_errors(manifest)
                    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in found]
    return [f"no definition of {manifest['kind']} in {manifest['apiVersion']}"]


def main() -> int:
    crds, file = sys.argv[1:]
    definitions = [each for each in yaml.safe_load_all(Path(crds).read_text()) if each]
    found = mistakes(definitions, yaml.safe_load(Path(file).read_text()))
    print(*found, sep="\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
