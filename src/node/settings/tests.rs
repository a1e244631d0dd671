//! What is told a node, and what holds of it.

use super::*;

/// A node with a pool of two listeners, one fee and a title of its own.
fn config() -> Config {
    let text = r#"
        [node]
        address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
        solo_listen = "127.0.0.1:7"
        [[pool]]
        network = "regtest"
        payout_address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
        scheme = "prop"
        remainder = "foundation"
        [[pool.fee]]
        name = "foundation"
        percent = 1
        [[pool.daemon]]
        url = "http://127.0.0.1:1"
        [[pool.listener]]
        listen = "127.0.0.1:8"
        start_difficulty = 7
        [[pool.listener]]
        listen = "127.0.0.1:9"
    "#;
    toml::from_str(text).expect("settings")
}

fn settings(changes: Changes) -> Settings {
    Settings::of(&config(), &changes)
}

fn of(mode: Mode) -> Changes {
    Changes {
        mode: Some(mode),
        url: Some("http://127.0.0.1:1".into()),
        ..Changes::default()
    }
}

#[test]
fn hosting_is_the_configuration_with_what_was_changed() {
    let made = settings(of(Mode::Host)).config(&config()).unwrap();
    let mut wanted = config();
    wanted.pool[0].title = Some("main".into());
    assert_eq!(made, wanted);
    let changed = Changes {
        pool_name: Some("Cellar".into()),
        pool_fee: Percent::from_hundredths(150),
        pool_port: Some(7072),
        ..of(Mode::Host)
    };
    let made = settings(changed).config(&config()).unwrap();
    let pool = &made.pool[0];
    assert_eq!(pool.title.as_deref(), Some("Cellar"));
    let ports: Vec<_> = pool.listener.iter().map(|it| it.listen.port()).collect();
    assert_eq!(ports, [7072, 9]);
    let fees = pool.fee.iter();
    let fees = fees.map(|fee| (&*fee.name, fee.percent.hundredths()));
    let fees: Vec<_> = fees.collect();
    assert_eq!(fees, [("foundation", 100), ("pool", 150)]);
}

#[test]
fn alone_there_is_one_listener_and_joined_there_is_none() {
    let made = settings(of(Mode::Solo)).config(&config()).unwrap();
    let [listener] = &made.pool[0].listener[..] else {
        panic!("{made:?}");
    };
    assert_eq!(listener.scheme, Some(Scheme::Solo));
    assert_eq!(listener.listen.port(), 7);
    assert_eq!(listener.start_difficulty, 7.0);
    assert_eq!(listener.default_address, config().node.address);
    // Rounds of the pool are paid by its own scheme and fees still.
    assert_eq!(made.pool[0].scheme, Scheme::Prop);
    assert_eq!(made.pool[0].open_schemes, [Scheme::Prop, Scheme::Prop]);
    assert_eq!(made.pool[0].fee, config().pool[0].fee);
    let made = settings(of(Mode::Join)).config(&config()).unwrap();
    assert!(made.pool[0].listener.is_empty());
}

#[test]
fn an_address_for_another_coins_pool_is_used_there_alone() {
    let theirs = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    let joined = Changes {
        wallet_address: Some(theirs.into()),
        ..of(Mode::Join)
    };
    assert!(joined.check(Mode::Join, &config()).is_ok());
    assert_eq!(settings(joined.clone()).user(), format!("{theirs}.node"));
    let back = of(Mode::Solo).over(joined.clone(), "");
    let own = config().node.address.unwrap();
    assert_eq!(settings(back).user(), format!("{own}.node"));
    let refused = joined.check(Mode::Solo, &config()).unwrap_err();
    assert!(refused.0.starts_with("wallet_address: "), "{refused}");
    for text in ["a.b", "a b", "a+5", "a\n", &"x".repeat(ADDRESS_LEN_MAX + 1)] {
        let wish = Changes {
            wallet_address: Some(text.into()),
            ..of(Mode::Join)
        };
        assert!(settings(wish).config(&config()).is_err(), "{text}");
    }
}

#[test]
fn who_could_not_mine_alone_is_not_told_that_it_would() {
    let mut config = config();
    let join = Changes {
        fall_back_s: Some(5),
        ..of(Mode::Join)
    };
    assert!(Settings::of(&config, &join).config(&config).is_ok());
    config.pool.clear();
    let refused = Settings::of(&config, &join).config(&config).unwrap_err();
    assert_eq!(
        refused.0,
        "fall_back_s: mining alone needs a [[pool]] in the settings"
    );
    // Why it fell back is forgotten with the next mode, and not before.
    let fallen = Changes {
        fell_back: Some("gone".into()),
        ..of(Mode::Solo)
    };
    let named = Changes {
        pool_name: Some("Cellar".into()),
        ..Changes::default()
    };
    assert!(named.over(fallen.clone(), "").fell_back.is_some());
    assert!(of(Mode::Solo).over(fallen, "").fell_back.is_none());
}

#[test]
fn a_node_without_a_pool_can_only_join() {
    let mut config = config();
    config.pool.clear();
    for mode in [Mode::Solo, Mode::Host] {
        let refused = Settings::of(&config, &of(mode))
            .config(&config)
            .unwrap_err();
        assert!(
            refused.0.ends_with("needs a [[pool]] in the settings"),
            "{refused}"
        );
    }
    assert!(
        Settings::of(&config, &of(Mode::Join))
            .config(&config)
            .is_ok()
    );
    config.node.address = None;
    let refused = Settings::of(&config, &of(Mode::Join))
        .config(&config)
        .unwrap_err();
    assert_eq!(refused.0, "no wallet_address that the pool could pay");
}

#[test]
fn what_is_kept_is_read_again_and_nothing_else_is() {
    let data = tempfile::tempdir().unwrap();
    assert_eq!(Changes::read(data.path()).unwrap(), Changes::default());
    let changes = Changes {
        pool_fee: Percent::from_hundredths(150),
        profile: Some(Profile::Beast),
        fall_back_s: Some(5),
        ..of(Mode::Join)
    };
    let prepared = changes.prepare(data.path()).unwrap();
    assert_eq!(Changes::read(data.path()).unwrap(), Changes::default());
    prepared.keep().unwrap();
    assert_eq!(Changes::read(data.path()).unwrap(), changes);
    let newer = Changes {
        fall_back_s: Some(0),
        ..Changes::default()
    };
    let both = newer.over(changes.clone(), "");
    assert_eq!((both.fall_back_s, both.mode), (Some(0), Some(Mode::Join)));
    for text in [
        "",
        "{",
        r#"{"mode":"farm"}"#,
        r#"{"pool_fee":101}"#,
        r#"{"what":1}"#,
    ] {
        std::fs::write(file(data.path()), text).unwrap();
        assert!(Changes::read(data.path()).is_err(), "{text}");
    }
}

#[test]
fn a_worker_is_started_anew_only_for_what_concerns_it() {
    let before = settings(of(Mode::Solo));
    let other = |change: fn(&mut Settings)| {
        let mut after = before.clone();
        change(&mut after);
        after.has_other_worker(&before)
    };
    assert!(other(|it| it.profile = Profile::Beast));
    assert!(other(|it| it.worker_name = "other".into()));
    assert!(!other(|it| it.url = "http://127.0.0.1:2".into()));
    assert!(!other(|it| it.pool_name = "other".into()));
    let joined = settings(of(Mode::Join));
    let other = |change: fn(&mut Settings)| {
        let mut after = joined.clone();
        change(&mut after);
        after.has_other_worker(&joined)
    };
    assert!(other(|it| it.url = "http://127.0.0.1:2".into()));
    assert!(other(|it| it.tls_fingerprint = "a5".repeat(32)));
}

#[test]
fn a_certificate_is_that_of_one_pool() {
    let [first, second] = ["a5", "5a"].map(|byte| byte.repeat(32));
    let mut config = config();
    config.node.url = Some("https://127.0.0.1:1".into());
    config.node.tls_fingerprint = Some(first.clone());
    let print = |changes: &Changes| Settings::of(&config, changes).tls_fingerprint;
    let url = |url: &str, tls_fingerprint: Option<&String>| Changes {
        url: Some(url.into()),
        tls_fingerprint: tls_fingerprint.cloned(),
        ..Changes::default()
    };
    // That of the configuration holds for its pool.
    assert_eq!(print(&Changes::default()), first);
    assert_eq!(print(&url("https://127.0.0.1:1", None)), first);
    assert_eq!(print(&url("https://127.0.0.1:2", None)), "");
    // One that was told, for the pool it was told with.
    let told = url("https://127.0.0.1:2", Some(&second));
    assert_eq!(print(&told), second);
    let other = |changes: Changes| print(&changes.over(told.clone(), "https://127.0.0.1:2"));
    assert_eq!(other(Changes::default()), second);
    assert_eq!(other(url("https://127.0.0.1:2", None)), second);
    assert_eq!(other(url("https://127.0.0.1:3", None)), "");
    assert_eq!(other(url("https://127.0.0.1:1", None)), first);
    // With an empty text an authority has signed it.
    assert_eq!(other(url("https://127.0.0.1:2", Some(&String::new()))), "");
    for text in ["a5", "zz", &format!("{first}a5")] {
        let bad = url("https://127.0.0.1:2", Some(&(*text).to_owned()));
        let refused = Settings::of(&config, &bad).check(&config).unwrap_err();
        assert!(refused.0.starts_with("tls_fingerprint: "), "{refused}");
    }
    assert_eq!(Settings::of(&config, &told).check(&config), Ok(()));
    // What was told for the pool of the configuration holds, whether that is named or not.
    let named = Changes {
        tls_fingerprint: Some(second.clone()),
        ..Changes::default()
    };
    let again = url("https://127.0.0.1:1", None).over(named, "https://127.0.0.1:1");
    assert_eq!(print(&again), second);
    // Nobody is left to think that a pool without TLS was checked.
    for plain in ["http://127.0.0.1:2", "stratum+tcp://127.0.0.1:2"] {
        let bad = url(plain, Some(&second));
        let refused = Settings::of(&config, &bad).check(&config).unwrap_err();
        assert!(refused.0.starts_with("tls_fingerprint: only "), "{refused}");
    }
}
