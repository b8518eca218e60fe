# List the commands.
default:
    @just --list

# Everything on this machine, until Ctrl-C.
up *options:
    uv run forge up {{options}}

# What changes must pass in a few minutes.
check:
    uv run ruff check .
    uv run ruff format --check .
    uv run mypy
    uv run pytest -m "not slow"

# All tests.
test *options:
    uv run pytest {{options}}

# The tests of a package for voice agents, in an environment of its own: pipecat or livekit.
integration name:
    cd integrations/{{name}} && uv run pytest

# As CI does it.
ci:
    bash .ci/run

# Renew openapi.json.
openapi:
    uv run forge openapi > openapi.json

# Renew web/vercel.json.
routes:
    uv run forge vercel --example > web/vercel.json

# Renew docs/prices.md.
prices:
    uv run forge prices > docs/prices.md

# Renew supabase/schema.sql from the migrations.
schema:
    uv run python -m tests.support.postgres > supabase/schema.sql

# Pin the images' packages with hashes.
requirements:
    bash requirements/export

# Measure, for example: just bench load --json
bench name *options:
    uv run python -m bench.{{name}} {{options}}
