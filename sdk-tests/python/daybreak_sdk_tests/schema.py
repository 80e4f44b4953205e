"""JSON Schemas of what the server may answer, made from the SDK's own models and closed.

The SDK forgives: its models take unknown keys, and a missing optional key reads as None. A schema made here
does not forgive. It refuses a key that the model does not declare, so a misspelt or invented one is found,
and it adds a few small tables of what the wire promises beyond what Python's types can say.
"""

import re
from functools import cache

from jsonschema import Draft202012Validator, FormatChecker, validators
from pydantic import TypeAdapter

# Keys that are left out when unset: the TypeScript SDK's types do not admit null there.
NEVER_NULL = {
    "BetaEnvironment": {"scope"},
    "BetaFileMetadata": {"downloadable"},
    "BetaManagedAgentsAgentToolResultEvent": {"content"},
    "BetaManagedAgentsAgentToolUseEvent": {"evaluated_permission", "evaluation"},
    "BetaManagedAgentsCacheCreationUsage": {"ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens"},
    "BetaManagedAgentsModelConfig": {"effort", "inference_geo", "speed"},
    "BetaManagedAgentsSendSessionEvents": {"data"},
    "BetaManagedAgentsServerToolUsage": {"web_fetch_requests", "web_search_requests"},
    "BetaManagedAgentsSessionStats": {"active_seconds", "duration_seconds"},
    "BetaManagedAgentsSessionThreadStats": {"active_seconds", "duration_seconds", "startup_seconds"},
    "BetaManagedAgentsSessionThreadUsage": {
        "active_seconds",
        "cache_creation",
        "cache_read_input_tokens",
        "input_tokens",
        "output_tokens",
    },
    "BetaManagedAgentsSessionUpdatedEvent": {"metadata"},
    "BetaManagedAgentsSessionUsage": {
        "active_seconds",
        "cache_creation",
        "cache_read_input_tokens",
        "input_tokens",
        "output_tokens",
    },
    "BetaManagedAgentsSessionUsageSnapshot": {
        "active_seconds",
        "cache_creation",
        "cache_read_input_tokens",
        "input_tokens",
        "list_cost",
        "output_tokens",
        "server_tool_use",
    },
    "BetaPackages": {"type"},
}

# Keys that are always there, with null when there is nothing to say.
ALWAYS_PRESENT = {
    "BetaEnvironment": {"archived_at", "description"},
    "BetaFileMetadata": {"downloadable", "expires_at", "scope"},
    "BetaManagedAgentsAgent": {"archived_at", "description", "multiagent", "system"},
    "BetaManagedAgentsModelConfig": {"speed"},
    "BetaManagedAgentsSendSessionEvents": {"data"},
    "BetaManagedAgentsSession": {"archived_at", "budget", "deployment_id", "title"},
    "BetaManagedAgentsSessionAgent": {"description", "multiagent", "system"},
    "BetaManagedAgentsSessionStatusIdleEvent": {"stop_details"},
    "BetaManagedAgentsSessionThread": {
        "archived_at",
        "parent_thread_id",
        "stats",
        "usage",
        "workflow_run_id",
    },
    "BetaManagedAgentsSessionThreadStatusIdleEvent": {"stop_details"},
    "BetaManagedAgentsSpanModelRequestEndEvent": {"is_error"},
    "BetaManagedAgentsUserMessageEvent": {"processed_at"},
    "BetaModelInfo": {
        "allowed_fallback_models",
        "capabilities",
        "deprecated_at",
        "line",
        "max_input_tokens",
        "max_tokens",
        "retires_at",
    },
    "SyncBidirectionalPageCursor": {"next_page", "prev_page"},
    "SyncPage": {"first_id", "has_more", "last_id"},
    "SyncPageCursor": {"next_page"},
}

# Keys of one path's answer that only its `beta` model declares: nothing in a request tells the two apart.
DECLARED_IN_BETA = {
    "FileMetadata": {"scope"},
    "ModelInfo": {"allowed_fallback_models"},
}

# What the ids of a kind of object start with.
ID_PREFIX = {
    "BetaEnvironment": "env_",
    "BetaEnvironmentDeleteResponse": "env_",
    "BetaFileMetadata": "file_",
    "BetaDeletedFile": "file_",
    "BetaManagedAgentsAgent": "agent_",
    "BetaManagedAgentsDeletedSession": "sesn_",
    "BetaManagedAgentsDeleteSessionResource": "sesrsc_",
    "BetaManagedAgentsFileResource": "sesrsc_",
    "BetaManagedAgentsSession": "sesn_",
    "BetaManagedAgentsSessionAgent": "agent_",
    "BetaManagedAgentsSessionThread": "sthr_",
    "BetaManagedAgentsSessionThreadAgent": "agent_",
}

RFC_3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")

# The wire's errors: status, and the type that goes with it.
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "api_error",
    529: "overloaded_error",
}

ERROR_ENVELOPE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "error", "request_id"],
    "properties": {
        "type": {"const": "error"},
        "request_id": {"type": "string", "pattern": "^req_"},
        "error": {
            "type": "object",
            "additionalProperties": False,
            "required": ["type", "message"],
            "properties": {
                "type": {"enum": sorted(set(ERROR_TYPES.values()))},
                "message": {"type": "string", "minLength": 1},
                "details": {
                    "type": "object",
                    "required": ["error_code"],
                    "properties": {"error_code": {"type": "string", "minLength": 1}},
                },
            },
        },
    },
}

_formats = FormatChecker(formats=())


@_formats.checks("date-time")
def _is_rfc_3339_utc(value: object) -> bool:
    return not isinstance(value, str) or RFC_3339_UTC.fullmatch(value) is not None


def _check_tagged(validator, variants: dict, instance, _schema):
    """The keyword `tagged`: an object is judged by the variant that its `type` names, and by no other."""
    if instance is None and "null" in variants:
        return
    tag = instance.get("type") if isinstance(instance, dict) else None
    variant = variants.get(tag) if isinstance(tag, str) else None
    if variant is None:
        validator_error = f"{tag!r} is no type of this union: {', '.join(sorted(variants))}"
        yield from validator.descend(instance, {"not": {}, "description": validator_error})
        return
    yield from validator.descend(instance, variant)


_Validator = validators.extend(Draft202012Validator, {"tagged": _check_tagged})


def _title(schema: dict) -> str:
    """The model's name; of a page of something, only the page's."""
    return schema.get("title", "").partition("[")[0]


def _tag_of(branch: dict, definitions: dict) -> str | None:
    if branch == {"type": "null"}:
        return "null"
    model = definitions.get(branch.get("$ref", "").removeprefix("#/$defs/"), {})
    return model.get("properties", {}).get("type", {}).get("const")


def _close(schema, definitions: dict):
    """Makes one schema, and all below it, strict. By keyword: a property may itself be named `properties`."""
    if not isinstance(schema, dict):
        return
    title = _title(schema)
    for name, part in schema.get("properties", {}).items():
        if name in NEVER_NULL.get(title, ()):
            part["anyOf"] = [branch for branch in part["anyOf"] if branch != {"type": "null"}]
        _close(part, definitions)
        if name == "id":
            prefix = "sevt_" if title.endswith("Event") else ID_PREFIX.get(title)
            if prefix:
                part["pattern"] = f"^{prefix}[A-Za-z0-9]+$"
    if title in ALWAYS_PRESENT:
        schema["required"] = sorted({*schema.get("required", ()), *ALWAYS_PRESENT[title]})
    if "properties" in schema and schema.get("additionalProperties") is True:
        schema["additionalProperties"] = False
        schema["properties"] |= dict.fromkeys(DECLARED_IN_BETA.get(title, ()), True)
    _close(schema.get("items"), definitions)
    _close(schema.get("additionalProperties"), definitions)
    for branch in schema.get("anyOf", ()):
        _close(branch, definitions)
    tags = [_tag_of(branch, definitions) for branch in schema.get("anyOf", ())]
    if len(tags) > 1 and None not in tags and len(set(tags)) == len(tags):
        schema["tagged"] = dict(zip(tags, schema.pop("anyOf"), strict=True))


@cache
def _validator(type_) -> Draft202012Validator:
    schema = TypeAdapter(type_).json_schema()
    definitions = schema.get("$defs", {})
    for definition in definitions.values():
        _close(definition, definitions)
    _close(schema, definitions)
    return _Validator(schema, format_checker=_formats)


_envelope_validator = _Validator(ERROR_ENVELOPE)


def _told(error) -> str:
    message = error.schema["description"] if error.validator == "not" else error.message
    return f"{error.json_path}: {message}"


def problems(type_, body) -> list[str]:
    """What is wrong with `body` as a `type_` of the SDK; nothing when all is well."""
    return [_told(error) for error in _validator(type_).iter_errors(body)]


def error_problems(status: int, body) -> list[str]:
    """What is wrong with `body` as the error envelope of `status`."""
    found = [_told(error) for error in _envelope_validator.iter_errors(body)]
    if not found and body["error"]["type"] != ERROR_TYPES.get(status):
        found.append(f"$.error.type: {body['error']['type']!r} does not go with status {status}")
    return found
