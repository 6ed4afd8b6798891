//! Precedence, unknown keys, and the text of every complaint.

use std::time::Duration;

use loquic_wire::RoomName;

use super::*;

/// Loads `text` as a file beside an environment, with `--dev` unless told otherwise.
fn load(text: &str, environment: &[(&str, &str)], mut flags: Flags) -> Result<Config, Problems> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("loquic.toml");
    std::fs::write(&path, text).unwrap();
    flags.file = Some(path);
    Config::load_with(&flags, environment.iter().map(|(name, value)| ((*name).into(), (*value).into())))
}

fn dev() -> Flags {
    Flags { dev: true, ..Flags::default() }
}

/// The complaints about a file under `--dev`, with the directory cut from the place.
#[track_caller]
fn complaints(text: &str) -> Vec<String> {
    let problems = load(text, &[], dev()).expect_err("there should be a complaint").0;
    let cut = |text: String| text.split_once("loquic.toml").map_or(text.clone(), |(_, rest)| rest.into());
    problems.into_iter().map(|problem| cut(problem.to_string())).collect()
}

#[track_caller]
fn complains(text: &str, expected: &str) {
    assert_eq!(complaints(text), [expected]);
}

#[test]
fn it_starts_with_no_configuration() {
    let config = Config::load_with(&dev(), std::iter::empty()).unwrap();
    assert_eq!(config.quic, [SocketAddr::from(([127, 0, 0, 1], 4433))]);
    assert_eq!(config.http, [SocketAddr::from(([127, 0, 0, 1], 8080))]);
    assert_eq!(config.ops, [SocketAddr::from(([127, 0, 0, 1], 9090))]);
    assert!(config.danger_accept_any_name);
    assert_eq!(config.identity, IdentitySource::Development("certs".into()));
    assert_eq!(config.data_dir, Path::new("data"));
    assert_eq!(config.limits.sessions_max, limits::SESSIONS_MAX);
    assert!(!config.node.is_empty());
    assert_eq!(config.limits, Config::dev(Path::new("x")).limits);
}

#[test]
fn flags_over_environment_over_file_over_dev_over_defaults() {
    let file = "listen.quic = ['127.0.0.1:1']\nnode.data_dir = 'from-file'\n[limits]\nrooms_max = 10\nreads_max = 10\n";
    let environment = [("LOQUIC_LIMITS__ROOMS_MAX", "20"), ("LOQUIC_NODE__DATA_DIR", "from-environment")];
    let only_file = load(file, &[], dev()).unwrap();
    assert_eq!(only_file.quic, ["127.0.0.1:1".parse().unwrap()], "the file is above --dev");
    assert_eq!(only_file.limits.rooms_max, 10);
    assert_eq!(only_file.limits.publish_max, limits::PUBLISH_MAX, "what is left out keeps its default");

    let with_environment = load(file, &environment, dev()).unwrap();
    assert_eq!(with_environment.limits.rooms_max, 20);
    assert_eq!(with_environment.limits.reads_max, 10);
    assert_eq!(with_environment.data_dir, Path::new("from-environment"));

    let listen = vec!["[::1]:2".parse().unwrap(), "127.0.0.1:3".parse().unwrap()];
    let flags = Flags {
        data_dir: Some("from-flag".into()),
        listen: listen.clone(),
        http_listen: listen.clone(),
        ops_listen: listen.clone(),
        ..dev()
    };
    let with_flags = load(file, &environment, flags).unwrap();
    assert_eq!(with_flags.data_dir, Path::new("from-flag"));
    assert_eq!((&with_flags.quic, &with_flags.http, &with_flags.ops), (&listen, &listen, &listen));
    assert_eq!(with_flags.limits.rooms_max, 20);
}

#[test]
fn every_type_reads_from_the_environment() {
    let environment = [
        ("LOQUIC_LISTEN__QUIC", "127.0.0.1:1, [::1]:2"),
        ("LOQUIC_TIMEOUTS__DRAIN", "1m30s"),
        ("LOQUIC_LIMITS__PAYLOAD_BYTES_MAX", "100KiB"),
        ("LOQUIC_AUTH__DANGER_ACCEPT_ANY_NAME", "true"),
        ("LOQUIC_TLS__CERTIFICATE", "a.pem"),
        ("LOQUIC_TLS__KEY", "b.pem"),
        ("LOQUIC_NODE__NAME", "n1"),
        ("LOQUIC_RUNTIME__WORKERS", "3"),
        ("LOQUIC_LISTEN__HTTP", ""),
        ("LOQUIC_LISTEN__OPS", "127.0.0.1:3,127.0.0.1:4"),
        ("LOQUIC_ADVERTISE__QUIC", "https://a.example, https://b.example:443"),
        ("LOQUIC_DEMO__DIR", "dist"),
        ("LOQUIC_SERVICE_HOST", "10.0.0.1"),
        ("LOQUIC_LOG", "debug"),
    ];
    let config = load("", &environment, Flags::default()).unwrap();
    assert_eq!(config.quic.len(), 2);
    assert_eq!((config.http.len(), config.ops.len()), (0, 2), "no page without --dev");
    assert_eq!(config.advertise.quic, ["https://a.example", "https://b.example:443"]);
    assert_eq!(config.demo_dir.as_deref(), Some(Path::new("dist")));
    assert_eq!(config.timeouts.drain, Duration::from_secs(90));
    assert_eq!(config.limits.payload_bytes_max, 100 * 1024);
    assert_eq!(config.runtime.workers, 3);
    assert_eq!(&*config.node, "n1");
    assert_eq!(config.identity, IdentitySource::Files { certificate: "a.pem".into(), key: "b.pem".into() });
}

#[test]
fn pages_get_in_from_where_somebody_said() {
    let allows =
        |file: &str, origin: &str| load(file, &[], dev()).unwrap().origins.iter().any(|allowed| allowed.allows(origin));
    assert!(allows("", "http://localhost:8080") && allows("", "http://127.0.0.1:1"));
    assert!(!allows("", "https://example.com"));
    let file = "origins.allow = ['https://example.com', 'https://other.example:8443']";
    assert!(allows(file, "https://example.com") && allows(file, "https://other.example:8443"));
    assert!(!allows(file, "http://localhost:8080"), "the file is above --dev");
    assert!(!allows("origins.allow = []", "http://localhost:8080"));
    complains(
        "origins.allow = ['https://example.com/chat']",
        ":1: origins.allow is \"https://example.com/chat\", but must be origins like \"https://chat.example.com\" or \
         \"http://localhost:*\", without a path",
    );
}

#[test]
fn what_is_printed_changes_nothing_and_is_the_defaults() {
    let defaults = load("", &[], dev()).unwrap();
    assert_eq!(load(&print(), &[], dev()).unwrap(), defaults);

    // With every key's comment taken away, it still says what the code does.
    let opened = opened(&print());
    let config = load(&opened, &[], dev()).unwrap();
    assert_eq!(config.quic, ["[::]:4433".parse().unwrap()], "what a file says is above --dev's own");
    assert_eq!(config.rooms.0.len(), 1);
    assert_eq!(
        (config.limits, config.timeouts, config.log, config.runtime),
        (defaults.limits, defaults.timeouts, defaults.log, defaults.runtime)
    );
}

#[test]
fn what_is_printed_names_every_key() {
    let text = opened(&print());
    for section in sections::SECTIONS {
        assert!(text.contains(&format!("\n[{}]\n", section.name)));
        for key in section.keys {
            assert!(!key.doc.is_empty() && text.contains(&format!("\n{} = ", key.name)), "{}", key.name);
        }
    }
}

/// The printed file with the `#` in front of keys taken away; words have a space behind it.
fn opened(printed: &str) -> String {
    let open = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    printed.lines().map(open).collect()
}

#[test]
fn unknown_keys_are_named_with_place_and_nearest() {
    complains(
        "[limits]\n\nsesions_max = 1\n",
        ":3: limits.sesions_max is not a key\n    Did you mean limits.sessions_max?",
    );
    complains("[limts]\nrooms_max = 1\n", ":1: [limts] is not a section\n    Did you mean [limits]?");
    complains("[room]\npattern = '**'\n", ":1: [room] is not a section\n    Did you mean [[rooms]]?");
    complains(
        "[limits]\nhello = '1s'\n",
        ":2: limits.hello is not a key\n    There is one in another section: timeouts.hello.",
    );
    complains("[node]\nport = 1\n", ":2: node.port is not a key\n    [node] has name, data_dir.");
    complains(
        "[http]\n",
        ":1: [http] is not a section\n    The sections are listen, advertise, node, tls, auth, origins, demo, limits, \
         timeouts, log, runtime, rooms.",
    );
    complains(
        "port = 1",
        ":1: port is not a key; every key is in a section\n    The sections are listen, advertise, node, tls, auth, \
         origins, demo, limits, timeouts, log, runtime, rooms.",
    );
    complains(
        "[[rooms]]\npattern = '**'\nlevle = 'disk'\n",
        ":3: rooms.levle is not a key\n    Did you mean rooms.level?",
    );
}

#[test]
fn unknown_variables_are_named() {
    let complain = |name, value, expected: &str| {
        assert_eq!(load("", &[(name, value)], dev()).unwrap_err().to_string(), expected);
    };
    complain(
        "LOQUIC_LIMITS__ROMS_MAX",
        "1",
        "environment variable LOQUIC_LIMITS__ROMS_MAX: limits.roms_max is not a key\n    Did you mean limits.rooms_max?",
    );
    complain(
        "LOQUIC_LIMITS_ROOMS_MAX",
        "1",
        "environment variable LOQUIC_LIMITS_ROOMS_MAX: LOQUIC_LIMITS_ROOMS_MAX has no effect: the section ends with \
         two underscores\n    Write LOQUIC_LIMITS__ROOMS_MAX.",
    );
    complain(
        "LOQUIC_ROOMS__PATTERN",
        "x",
        "environment variable LOQUIC_ROOMS__PATTERN: rooms cannot be set in the environment\n    Write [[rooms]] in the \
         configuration file.",
    );
    complain(
        "LOQUIC_TIMEOUTS__DRAIN",
        "30",
        "environment variable LOQUIC_TIMEOUTS__DRAIN: timeouts.drain is \"30\", but must be a duration with a unit (ms, \
         s, m, h, d) from 0s to 1h, like \"10s\"",
    );
}

#[test]
fn values_out_of_bounds_say_what_they_must_be() {
    complains("[limits]\nrooms_max = 0", ":2: limits.rooms_max is 0, but must be a number from 1 to 256");
    complains("[limits]\nrooms_max = -1", ":2: limits.rooms_max is -1, but must be a number from 1 to 256");
    complains(
        "[limits]\nrooms_max = 1.5",
        ":2: limits.rooms_max is a number with a fraction, but must be a number from 1 to 256",
    );
    complains(
        "[limits]\npayload_bytes_max = '129KiB'",
        ":2: limits.payload_bytes_max is \"129KiB\", but must be a size from 1B to 128KiB, like \"64KiB\"",
    );
    complains(
        "[timeouts]\nhello = 5",
        ":2: timeouts.hello is 5, but must be a duration with a unit (ms, s, m, h, d) from 1s to 1h, like \"5s\"",
    );
    complains(
        "[listen]\nquic = ['127.0.0.1:1', 'localhost:4433']",
        ":2: listen.quic is \"localhost:4433\", but must be one or more of ADDRESS:PORT, like \"127.0.0.1:4433\" or \
         \"[::]:4433\" (no host names)",
    );
    complains(
        "[listen]\nquic = []",
        ":2: listen.quic is a list, but must be one or more of ADDRESS:PORT, like \"127.0.0.1:4433\" or \"[::]:4433\" \
         (no host names)",
    );
    complains(
        "[listen]\nhttp = ['localhost:80']",
        ":2: listen.http is a list, but must be a list of ADDRESS:PORT, like [\"127.0.0.1:8080\"] (no host names), or [] \
         for none",
    );
    complains(
        "[advertise]\nquic = ['https://good.example', 'http://bad.example']",
        ":2: advertise.quic is \"http://bad.example\", but must be a list of https URLs, like \
         [\"https://loquic.example.com\"]",
    );
    complains("[node]\nname = 'a b'", ":2: node.name is \"a b\", but must be 1 to 64 letters, digits, '-' or '_'");
    complains("[node]\ndata_dir = ''", ":2: node.data_dir is \"\", but must be a path");
    complains(
        "[auth]\ndanger_accept_any_name = 'yes'",
        ":2: auth.danger_accept_any_name is \"yes\", but must be true or false",
    );
    complains("[runtime]\nworkers = 0", ":2: runtime.workers is 0, but must be \"auto\" or a number from 1 to 1,024");
}

#[test]
fn broken_files_say_where() {
    complains("limits = 5", ":1: limits is a section, not a key\n    Write [limits] and its keys below it.");
    complains(
        "[rooms]\n",
        ":1: rooms is not a list of tables\n    Write [[rooms]] with two brackets, once for each pattern.",
    );
    let text = complaints("[limits]\nrooms_max = \n").concat();
    assert!(text.starts_with(":2: this is not TOML: "), "{text}");
    let problems = load("x", &[], Flags::default()).unwrap_err().0;
    assert_eq!(problems.len(), 1, "nothing is said of keys that could not be read: {problems:?}");
    let flags = Flags { dev: true, file: Some("/nowhere/x.toml".into()), ..Flags::default() };
    let text = Config::load_with(&flags, std::iter::empty()).unwrap_err().to_string();
    assert!(text.starts_with("--config: cannot read /nowhere/x.toml: "), "{text}");
}

#[test]
fn contradictions_are_told() {
    complains(
        "[limits]\nrooms_max = 200",
        ":2: limits.rooms_max + reads_max + publish_max is 280, but a session has 256 streams\n    One stream is for \
         control: make them at most 255 together.",
    );
    complains(
        "[limits]\nsend_window_min = '2MiB'",
        ":2: limits.send_window_min is 2MiB, more than limits.send_window_max with 1MiB\n    Lower the one or raise the other.",
    );
    complains(
        "[timeouts]\nidle = '9s'",
        ":2: timeouts.idle is 9s, less than twice timeouts.ping with 5s\n    One lost ping would end a session: raise \
         idle or lower ping.",
    );
    complains(
        "[tls]\nkey = 'a.pem'",
        ":2: tls.certificate is missing\n    Name the PEM file with the certificate of this key.",
    );
    complains(
        "[tls]\ncertificate = 'a.pem'",
        ":2: tls.key is missing\n    Name the PEM file with the certificate's private key.",
    );
    let refusal = load("", &[], Flags::default()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "tls.certificate and tls.key are missing: QUIC needs a certificate\n    Name the two PEM files in [tls], or \
         start with --dev to use a development certificate.\nnobody could open a session: there is no key to check \
         tokens with\n    Name the file with the key in auth.token_key. For development, start with --dev; on a network \
         where everybody may use any name, write auth.danger_accept_any_name = true."
    );
    complains(
        "auth.token_issuer = 'us'",
        ":1: auth.token_issuer says which tokens are good, but there is no key to check them with\n    Name the file \
         with the key in auth.token_key.",
    );
}

#[test]
fn everything_wrong_is_told_at_once_in_order() {
    let lines = complaints("[[rooms]]\nlevel = 'x'\npattern = '**'\n[limits]\na = 1\nrooms_max = 0\n[log]\nb = 2\n");
    let starts: Vec<_> = lines.iter().map(|line| &line[..3]).collect();
    assert_eq!(starts, [":2:", ":5:", ":6:", ":8:"]);
}

#[test]
fn rooms_take_the_first_pattern_that_matches() {
    let text = "[[rooms]]\npattern = 'chat:*'\nclass = 'day'\nage = '12h'\ncount = 10\n\
                [[rooms]]\npattern = 'game:**'\nlevel = 'memory'\nclass = 'hour'\nbytes = '1MiB'\n";
    let rooms = load(text, &[], dev()).unwrap().rooms;
    let policy = |name| rooms.policy(&RoomName::new(name).unwrap());
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    let chat = Policy { level: Level::Disk, class: Class::Day, age: hours(12), count: Some(10), bytes: None };
    assert_eq!(policy("chat:a"), chat);
    // A class without an age is an age.
    let game = Policy { level: Level::Memory, class: Class::Hour, age: hours(1), count: None, bytes: Some(1 << 20) };
    assert_eq!(policy("game:1:2"), game);
    assert_eq!(policy("chat:a:b"), Policy::DEFAULT);
}

#[test]
fn rooms_are_checked() {
    complains(
        "[[rooms]]\nlevel = 'disk'",
        ":1: rooms.pattern is missing\n    Say which rooms it is for: pattern = \"**\" means all.",
    );
    complains(
        "[[rooms]]\npattern = 'chat/*'",
        ":2: rooms.pattern \"chat/*\": '/' is not allowed in a room name; letters, digits and _ ~ @ . - are, with ':' \
         between segments\n    A pattern is a room's name in which * stands for one segment and ** at the end for the rest.",
    );
    complains("[[rooms]]\npattern = 1", ":2: rooms.pattern is not a text\n    Quote it.");
    complains(
        "[[rooms]]\npattern = '**'\nlevel = 'quorum'",
        ":3: rooms.level is \"quorum\", but must be one of \"memory\", \"process\", \"disk\"",
    );
    complains(
        "[[rooms]]\npattern = '**'\nclass = 'day'\nage = '25h'",
        ":4: rooms.age is 1d1h, but class \"day\" ends after 1d\n    Choose a shorter age or a longer class.",
    );
    complains(
        "[[rooms]]\npattern = '**'\ncount = 0",
        ":3: rooms.count is 0, but must be a number from 1 to 9,007,199,254,740,992",
    );
    complains(
        "[[rooms]]\npattern = 'chat:**'\n[[rooms]]\npattern = 'chat:a:*'",
        ":3: rooms.pattern \"chat:a:*\" is never reached\n    The first pattern that matches decides, and \"chat:**\" \
         stands above it.",
    );
}
