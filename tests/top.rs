//! `adit top` in a real terminal, before a real pool that ends and comes back.

use crate::support::{Rig, adit, run, terminal::Terminal};

#[test]
fn top_shows_a_pool_and_goes_on_when_it_is_gone() {
    let mut rig = Rig::new();
    let mut miner = rig.miner();
    let share = miner.share(1);
    let id = miner.try_send_share(&share).unwrap();
    assert_eq!(miner.answer_to(id)["result"], true);
    let url = format!("http://127.0.0.1:{}", rig.pool.http);
    let mut terminal = Terminal::start(
        (80, 24),
        &[("NO_COLOR", "1")],
        &["top", "--url", &url, "--every", "1"],
    );
    terminal.expect("main (bitcoin regtest)");
    terminal.expect("1 accepted, 0 rejected");
    terminal.expect("accepted v");
    terminal.press(&["Right"]);
    terminal.expect("rejected v");
    terminal.press(&["r"]);
    terminal.expect("rejected ^");
    // Nothing is drawn in colours: 39 and 49 are those that the terminal has by itself.
    let shown = terminal.screen_with_colours();
    let shown = shown.replace("\u{1b}[39m", "").replace("\u{1b}[49m", "");
    for begins in ["\u{1b}[3", "\u{1b}[4", "\u{1b}[9", "\u{1b}[10"] {
        assert!(!shown.contains(begins), "{shown:?}");
    }
    // Another size is filled, and the keys are still there.
    terminal.resize((60, 12));
    terminal.expect("q quit");

    rig.pool.process.kill();
    terminal.expect("The pool does not answer: nothing listens there.");
    rig.pool.start_again();
    rig.pool.wait_until_ready();
    terminal.expect("0 accepted, 0 rejected");
    terminal.press(&["q"]);
    terminal.expect("[ended: 0]");
}

#[test]
fn top_is_shown_on_a_terminal_alone() {
    let output = run(&["top"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("/api/v1/status has the same as JSON"),
        "{said}"
    );
    let output = adit(&["top", "--url", "https://pool.example"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
}
