from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ci
from ci.config.settings import load
from ci.errors import ConfigError
from tests.ci.configuration import ENVIRONMENT, SIGN_IN, TEXT, configuration, signing_in, written
from tests.fakes.oauth import CLIENT_SECRET

EXAMPLE = Path(ci.__file__).with_name("farm.example.toml")
KEYS = {**ENVIRONMENT, "OAUTH_SECRET": CLIENT_SECRET}
GOOD = TEXT.format(api_url="https://x.example", at_once=0)


def problems(directory: Path, text: str, env: dict[str, str] | None = None) -> dict[str, str]:
    path = directory / "farm.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, env or ENVIRONMENT)
    assert len(str(caught.value).splitlines()) == len(caught.value.problems) + 1
    return {problem.where: str(problem) for problem in caught.value.problems}


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    key = tmp_path / "app.pem"
    key.write_text("a key")
    path = tmp_path / "farm.toml"
    path.write_text(EXAMPLE.read_text().replace("/run/secrets/github-app.pem", str(key)))

    config = load(path, {"FARM_WEBHOOK_SECRET": "0123456789abcdef"})

    assert config.find("github", "Example/Kernels") is config.repository[0]
    assert config.repository[0].cases == ["flash-s2", "flash-s1"]


def test_every_commented_out_part_of_the_example_is_right_too(tmp_path: Path) -> None:
    text = re.sub(r"(?m)^# (?=\[|\w+ = )", "", EXAMPLE.read_text())
    text = re.sub(r"/run/secrets/[a-z.-]+", str(EXAMPLE), text)
    path = tmp_path / "farm.toml"
    path.write_text(text)

    secrets = {"FARM_WEBHOOK_SECRET": "0123456789abcdef", "CODEBERG_WEBHOOK_SECRET": "0123456789abcdef"}
    secrets |= {"OUR_WEBHOOK_SECRET": "0123456789abcdef", "FARM_SESSION_KEY": "0123456789abcdef", "CODEBERG_TOKEN": "t"}
    secrets |= {"GITLAB_WEBHOOK_SECRET": "0123456789abcdef", "GITLAB_TOKEN": "t"}
    secrets |= {"GITEE_WEBHOOK_SECRET": "0123456789abcdef", "GITEE_TOKEN": "t"}
    secrets |= {"GITCODE_WEBHOOK_SECRET": "0123456789abcdef", "GITCODE_TOKEN": "t"}
    secrets |= {"FARM_OAUTH_SECRET": "s"}
    secrets |= {"CHAT_WEBHOOK_URL": "https://chat.example.org/1", "OUR_WEBHOOK_URL": "https://ours.example.org/"}
    config = load(path, secrets)

    assert config.web.session_key
    assert sorted(config.forge) == ["codeberg", "gitcode", "gitee", "github", "lab"]
    assert config.forge["github"].sign_in and config.forge["codeberg"].sign_in is None
    assert config.cluster.address
    assert [each.name for each in config.schedule] == ["nightly-sweep"]
    assert [each.name for each in config.notify] == ["team", "ours", "mail"]


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    text = """
[server]
public_url = "nope"
prot = 3
port = 99999
[forge.github]
kind = "github"
token = { env = "TOKEN" }
webhook_secrets = [{ env = "NOT_THERE" }, { env = "SHORT" }, { file = "missing" }]
[[repository]]
name = "a"
kernel = "nope"
[[repository]]
name = "a/b"
kernel = "qkv_proj_rope"
cases = ["flash-s2", "zz"]
forge = "gitlab"
[[repository]]
name = "A/B"
devices = 0
kernel = "qkv_proj_rope"
"""
    found = problems(tmp_path, text, {"TOKEN": "t", "SHORT": "abc"})

    assert found.keys() == {
        "server.public_url",
        "server.prot",
        "server.port",
        "forge.github.webhook_secrets.0",
        "forge.github.webhook_secrets.1",
        "forge.github.webhook_secrets.2",
        "repository.0.name",
        "repository.0.kernel",
        "repository.1.name",
        "repository.1.cases",
        "repository.1.forge",
        "repository.2.name",
        "repository.2.devices",
    }
    assert found["server.port"].startswith("server.port: 99999: ")
    assert "NOT_THERE is not set" in found["forge.github.webhook_secrets.0"]
    assert "the kernel has: tiny," in found["repository.1.cases"]
    assert "use one of: github" in found["repository.1.forge"]


@pytest.mark.parametrize(
    "wrong",
    ['token = "ghp_hidden"', 'tokn = "ghp_hidden"', 'private_key = "ghp_hidden"', 'token = { vault = "ghp_hidden" }'],
)
def test_a_secret_written_into_the_file_is_refused_without_repeating_it(tmp_path: Path, wrong: str) -> None:
    found = problems(tmp_path, GOOD.replace('token = { env = "TOKEN" }', wrong))

    assert "ghp_hidden" not in str(found)


def test_a_secret_in_a_wrong_table_is_not_repeated_either(tmp_path: Path) -> None:
    text = GOOD.replace("[server]", '[server]\ntoken = "ghp_hidden"')

    assert "ghp_hidden" not in str(problems(tmp_path, text))


def test_no_secret_is_in_a_repr(tmp_path: Path) -> None:
    shown = repr(configuration(tmp_path))

    assert not [secret for secret in ENVIRONMENT.values() if secret in shown]


@pytest.mark.parametrize(
    ("credentials", "said"),
    [
        ("app_id = 5", "needs both"),
        ('app_id = 5\ntoken = { env = "TOKEN" }', "either"),
        ("", "either"),
    ],
)
def test_a_forge_takes_one_whole_credential(tmp_path: Path, credentials: str, said: str) -> None:
    text = GOOD.replace('token = { env = "TOKEN" }', credentials)

    assert said in problems(tmp_path, text)["forge.github"]


def test_sign_in_needs_tls_and_a_repository_of_its_forge(tmp_path: Path) -> None:
    text = (
        GOOD.replace("https://x.example", "http://x.example").replace("octo-org/kernels", "octo-org/others") + SIGN_IN
    )
    unknown = problems(tmp_path, GOOD.replace("octo-org/kernels", "octo-org/others") + SIGN_IN, KEYS)
    plain = problems(tmp_path, text + "least = 'admin'\n", {**KEYS, "OAUTH_SECRET": ""})

    assert "octo-org/kernels is no [[repository]] of it" in unknown["forge"]
    assert plain.keys() == {"forge.github.sign_in.client_secret", "forge.github.sign_in.least"}
    assert "https" in problems(tmp_path, text, KEYS)["forge.github.sign_in"]


def test_the_secret_of_the_sign_in_is_shown_nowhere(tmp_path: Path) -> None:
    config = signing_in(tmp_path, "github", "https://x.example")
    written_in = SIGN_IN.replace('{ env = "OAUTH_SECRET" }', '"gho_hidden"')

    assert CLIENT_SECRET not in repr(config)
    assert CLIENT_SECRET in [secret.get_secret_value() for secret in config.secrets()]
    assert "gho_hidden" not in str(problems(tmp_path, GOOD + written_in))


@pytest.mark.parametrize(
    ("kind", "api_url", "web"),
    [
        ("github", "https://api.github.com", "https://github.com"),
        ("github", "https://ghe.example.org/api/v3", "https://ghe.example.org"),
        ("gitea", "https://git.example.org/api/v1", "https://git.example.org"),
        ("gitea", "https://example.org/git/api/v1/", "https://example.org/git"),
        ("gitlab", "https://gitlab.com/api/v4", "https://gitlab.com"),
        ("gitlab", "https://example.org/lab/api/v4/", "https://example.org/lab"),
        ("gitee", "https://gitee.com/api/v5", "https://gitee.com"),
        ("gitcode", "https://api.gitcode.com/api/v5", "https://gitcode.com"),
    ],
)
def test_people_find_a_forge_where_its_api_is(tmp_path: Path, kind: str, api_url: str, web: str) -> None:
    text = GOOD.replace("https://x.example", api_url).replace('kind = "github"', f'kind = "{kind}"')

    assert written(tmp_path, text).forge["github"].web() == web


@pytest.mark.parametrize(
    ("kind", "api", "name"), [("gitlab", "v4", "GitLab"), ("gitee", "v5", "Gitee"), ("gitcode", "v5", "GitCode")]
)
def test_some_forges_need_a_token_and_an_address_and_have_no_sign_in(
    tmp_path: Path, kind: str, api: str, name: str
) -> None:
    lab = GOOD.replace('kind = "github"', f'kind = "{kind}"')

    assert f'api/{api}"' in str(problems(tmp_path, lab.replace('api_url = "https://x.example"\n', "")))
    assert "set `token`" in str(problems(tmp_path, lab.replace('token = { env = "TOKEN" }', "app_id = 7")))
    assert f"account of {name}" in str(problems(tmp_path, lab + SIGN_IN, KEYS))


@pytest.mark.parametrize(("text", "said"), [("[server", "is not TOML"), ("", "missing")])
def test_a_broken_file_is_said_to_be_one(tmp_path: Path, text: str, said: str) -> None:
    assert said in " ".join(problems(tmp_path, text).values())


def test_a_missing_file_names_the_example(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ci/farm\.example\.toml"):
        load(tmp_path / "none.toml", {})


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    path = tmp_path / "farm.toml"
    path.write_text(GOOD)

    config = load(path, {**ENVIRONMENT, "FARM_PORT": "9000", "FARM_STORE": "sqlite:////x", "RAY_ADDRESS": "h:1"})

    assert (config.server.port, config.store.url, config.cluster.address) == (9000, "sqlite:////x", "h:1")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
def test_any_text_is_refused_in_our_own_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "farm.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")

    with pytest.raises(ConfigError):
        load(path, {})
