//! Any line from a pool gives a miner a message or an error, and a job can be written again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::sv1::{JobId, NotifyLine, ServerMessage};

fuzz_target!(|line: &[u8]| match ServerMessage::parse(line) {
    Ok(ServerMessage::Notify(notify)) => {
        let mut out = Vec::new();
        NotifyLine::new(&notify.work).write(&mut out, JobId(1), [0; 4], notify.clean);
        let answer = out.strip_suffix(b"\n").unwrap_or(&out);
        let again = ServerMessage::parse(answer);
        if let Ok(ServerMessage::Notify(again)) = again {
            assert_eq!(again.work.branch, notify.work.branch);
            assert_eq!(again.work.previous_block, notify.work.previous_block);
        }
    }
    Ok(ServerMessage::Response(response)) => {
        let _ = (
            response.accepted(),
            response.subscribed(),
            response.version_mask(),
        );
    }
    Ok(_) | Err(_) => {}
});
