//! Every word that the pages say, in one place. Another language is another value of [`Words`].

/// Declares the words and their English.
macro_rules! words {
    ($($name:ident = $text:literal;)*) => {
        /// What the pages say.
        #[derive(Debug)]
        pub(super) struct Words {
            $(pub(super) $name: &'static str,)*
        }

        /// In English.
        pub(super) static ENGLISH: Words = Words { $($name: $text,)* };
    };
}

words! {
    language = "en";

    // The frame of each page.
    skip = "Skip to the page";
    nav = "Pages";
    home = "Pool";
    connect = "Connect";
    check = "Check my address";
    blocks = "Blocks";
    payouts = "Payouts";
    source_of_figures = "All figures come from the public API:";
    api_description = "its description";
    health = "health";
    health_title = "Health";
    metrics = "metrics";
    live = "live";
    not_live = "not live: reload for newer figures";

    // What several pages share.
    copy = "Copy";
    copied = "Copied";
    none_yet = "none yet";
    unknown = "not known yet";
    older = "Older";
    newest = "Newest";
    worker = "Worker";
    device = "Device";
    state = "State";
    height = "Height";
    reward = "Reward";
    effort = "Effort";
    confirmations = "Confirmations";
    found = "Found";
    found_by = "Found by";
    paid_by = "Paid by";
    hash = "Block";
    amount = "Amount";
    time = "Time";
    hashrate = "Hashrate";
    difficulty = "Difficulty";
    shares = "Shares";
    last_share = "Last share";
    transaction = "Transaction";
    number = "Number";

    // States of blocks.
    submitted_says = "sent to the nodes, not seen in the chain yet";
    immature_says = "in the chain; counts once it has enough confirmations";
    mature_says = "deep enough in the chain: its credits count";
    orphaned_says = "not in the chain: nobody is paid for it";

    // Home.
    no_work = "No work for miners:";
    fit = "node ready";
    at_height = "height";
    not_fit = "not fit:";
    daemon = "Node";
    template = "Template";
    template_age = "old";
    seconds = "s";
    payouts_on = "payouts on";
    payouts_off = "this pool pays nobody";
    payouts_paused = "payouts paused:";
    miners = "miners";
    miners_says = "addresses with a share in the last ten minutes";
    workers = "workers";
    connected = "connections";
    blocks_found = "blocks found";
    of_network = "of the network's hashrate";
    effort_says = "Work since the last block, against what a block takes on average. Below 100 % at a block was good luck, above it bad.";
    effort_now = "effort";
    luck = "luck";
    luck_says = "Blocks found against the blocks that the pool's work was expected to find. It comes near 100 % with many blocks.";
    best_share = "best share";
    best_share_says = "The hardest share that anyone found here. A block needs the network's difficulty.";
    network_difficulty = "network difficulty";
    next_block = "next block, on average";
    next_block_says = "At the hashrate of the last hour. It is chance: it may take ten times as long, or a tenth.";
    hashrate_over = "Hashrate over";
    block_marks = "A line marks a block that the pool found.";
    as_table = "The same as a table";
    averages = "Averages";
    last_blocks = "Last blocks";
    all_blocks = "All blocks";
    no_block = "No block was found yet.";
    how_paid = "How you are paid";
    pay_pplns = "By the last work before a block (PPLNS): the window is so many times the work that a block takes:";
    pay_prop = "By your part of the work since the block before (PROP).";
    pay_pps = "For each share at once, whatever blocks are found (PPS).";
    pay_fpps = "For each share at once, with the average of the transactions' fees (FPPS).";
    pay_solo = "Solo: whoever solves a block is paid all of it by the block itself, without a fee.";
    pay_fees = "Taken from each reward before the miners:";
    pay_open_round = "That was changed, and the open round keeps what it began with";
    pay_no_fees = "Nothing is taken from a reward.";
    pay_maturity = "A block counts after so many confirmations:";
    pay_threshold = "You are paid once your balance reaches";
    pay_coinbase = "Blocks pay miners by themselves, as far as they have room.";
    pay_off = "This pool pays nobody by itself.";
    mining_now = "Mining now";
    pays = "Pays";
    transactions = "Transactions";
    subsidy_only = "the first job of a new block, without transactions";
    start = "Start mining";
    start_says = "Point your miner here; your address is your user name. There is no account.";
    all_devices = "What to type for your device";

    // Check my address.
    address = "Address";
    address_hint = "The address that your miner has as its user name";
    look = "Look it up";
    address_says = "No account and no password: everything about an address is public, as the shares are.";

    // Connect.
    connect_title = "Connect a miner";
    your_address = "Your address";
    your_worker = "A name for this machine";
    fill_in = "Fill in";
    port_plain = "plain";
    tls_only = "TLS only";
    tls_and_plain = "plain and TLS";
    fingerprint = "SHA-256 of the certificate";
    fingerprint_says = "Compare it with what your device shows, where the certificate is no public one.";
    host = "Host";
    port = "Port";
    url = "Pool URL";
    user = "User";
    password = "Password";
    password_says = "Anything; x is usual. Some options may stand there, such as d=1024 for a difficulty.";
    qr = "The pool URL as a QR code";
    per_device = "By device";
    loopback_only = "This port listens on this machine alone. For miners elsewhere the operator must let it listen on the network.";
    lan_first = "For miners in the same network. From elsewhere use the pool's public name.";
    scheme = "Pays by";
    start_difficulty = "Begins at difficulty";
    wait_says = "Fill in your address: a light shows here when its first share comes.";
    waiting = "Waiting for the first share of";
    waiting_connected = "Connected, no share yet:";
    share_came = "It works: shares come in for";
    to_miner = "See this address";

    // Miner.
    miner = "Miner";
    nobody_mined = "Nothing came in for this address yet. If your miner was just connected, the first share comes within a minute or two.";
    no_address = "That is no address of a coin that is mined here.";
    balance = "Balance";
    available = "ready to be paid";
    immature = "immature";
    immature_explained = "credits of blocks that are not deep enough in the chain";
    pending = "being paid";
    in_flight = "sent, not confirmed";
    paid = "paid";
    earned = "earned in all";
    until_threshold = "until the threshold of";
    rejected = "Rejected";
    rejected_now = "rejected";
    best = "Best difficulty";
    odds = "Finding a block alone";
    odds_says = "The chance that this hashrate alone finds at least one block within";
    expected_time = "On average it would take";
    expected_income = "Expected here";
    per_day = "a day";
    by_hour = "at the speed of the last hour";
    by_day = "at the speed of the last day";
    expected_says = "An average and no promise. Luck and the network's difficulty change it.";
    why_quiet = "Why was I not paid yet?";
    workers_title = "Workers";
    no_workers = "No worker had a share yet.";
    rejects_title = "Why shares were rejected";
    rejects_says = "Counted on the connections that are open now.";
    credits = "Credits";
    credits_says = "What each block brought. Only those of mature blocks count.";
    no_credits = "No block has paid this address yet.";
    own_part = "Part of the work";
    explain = "How it came about";
    payouts_own = "Payouts";
    no_payouts = "Nothing was paid yet.";
    csv = "as CSV";
    settings = "How you want to be paid";
    settings_says = "Changes are signed with this address in your wallet; nobody else can make them.";
    threshold = "Threshold";
    schedule = "How often";
    schedule_threshold = "as soon as the threshold is reached";
    schedule_daily = "at most once a day";
    schedule_weekly = "at most once in seven days";
    schedule_monthly = "at most once in thirty days";
    pay_to = "Paid to";
    own_address = "this address";
    waits_for = "Not paid now. What is waited for:";
    due = "Paid with the next payout.";
    sign_this = "Sign this text with your address, change the lines as you like, and send the same values:";
    asked_payout = "A payout was asked for.";
    hashes = "hashes";

    // Reasons of rejects.
    reject_unknown_job = "Job not found: it answered work of long ago, most often after its connection was away. A few are nothing to worry about.";
    reject_stale = "Stale: somebody found a block while it was on its way. Some are normal; many mean a slow connection.";
    reject_duplicate = "Duplicate: the same proof twice. The device sends again what was answered, or its firmware is at fault.";
    reject_low_difficulty = "Difficulty too low: it works on an older difficulty than it was told, or the wrong algorithm.";
    reject_ntime = "Time out of range: the clock that it rolls ran too far.";
    reject_version_mask = "Invalid version mask: it rolled bits that were not agreed on.";
    reject_extranonce2_size = "Invalid nonce2 length: its firmware ignores the size that it was told.";
    reject_wrong_result = "Invalid result: the hash was another than the device said. Its memory or clock is unstable, or it means to cheat.";
    reject_too_many = "Too many shares on one block: its difficulty is far too low. Raise it.";

    // How a credit came about.
    credit_title = "How a credit came about";
    window_work = "Work that the block pays for";
    window_length = "What a full window holds";
    own_work = "This address's part of it";
    miners_part = "Left for the miners";
    whole_units = "Whole units of the exact part";
    left_units = "From what could not be split";
    shared_by = "Shared by so many miners";
    rule = "The rule";
    entry = "Entry in the books";
    equals = "Together";

    // Doctor.
    doctor_title = "Luck or fault?";
    doctor_says = "What is known about why this address was not paid yet, looked up now.";

    // Blocks and payouts.
    blocks_title = "Blocks of the pool";
    blocks_says = "Effort is the work of a round against what a block takes on average.";
    payouts_title = "Payouts of the pool";
    payouts_says = "Each is one transaction. Who was paid how much, each address sees on its own page.";
    no_payout = "Nothing was paid out yet.";
    payments = "Payments";
    network_fee = "Chain's fee";
    by_pool = "borne by the pool";

    // Operator.
    operator = "Operator";
    key = "Your key";
    key_says = "A key is made on the pool's machine:";
    log_in = "Log in";
    log_out = "Log out";
    part = "Part";
    known_of_it = "What is known of it";
    well = "well";
    not_well = "not well";
    pause = "Pause payouts";
    pause_reason = "Why, for others";
    resume = "Pay again";
    none_open = "No payout is under way.";
    reason = "Reason";
    daemons = "Nodes";
    breaker = "Breaker";
    reset = "Ask again now";
    bans = "Bans";
    nobody_banned = "nobody is banned.";
    banned_workers = "Banned workers";
    worker_of_http = "Worker of HTTP";
    until = "Until";
    invalid = "Invalid";
    lift = "Lift";
    too_few = "Who finds too few blocks";
    too_few_says = "It may be chance. Those with at least nine expected blocks are listed, the unluckiest first.";
    expected = "Expected";
    once_in = "Once in";
    suspicious = "suspicious";
    count_anew = "Count anew";
    done_log = "What operators did";
    who = "Who";
    what = "What";
    subject = "On what";
    settings_in_force = "Settings in force";
    all_settings = "Each key, and where its value came from";
    to_do = "To do";
    setting = "Setting";
    value = "Value";
    came_from = "Came from";

    // Node.
    node = "Node: alone, host or join";
    to_node = "Mode of this node";
    node_mode = "Mode";
    solo = "Solo";
    host_pool = "Host pool";
    join_pool = "Join pool";
    solo_says = "This machine mines alone: a block pays you all of it. What your pool owes is paid meanwhile.";
    host_says = "Others mine here over the address below. This machine only hosts.";
    join_says = "This machine mines at somebody else's pool.";
    fell_back = "Mining alone for now:";
    worker_ended = "This machine's worker has ended:";
    switching = "Switching";
    running = "Running";
    since = "since";
    joined = "Connected";
    not_joined = "Not connected";
    join_failed = "Connection failed:";
    hashrate_now = "current hashrate";
    hashrate_twenty = "Hashrate, the last 20 minutes";
    shares_submitted = "shares accepted";
    refused = "refused";
    workers_active = "active workers";
    total_hashrate = "total hashrate";
    pool_hashrate = "hashrate of the pool";
    as_configured = "as configured";
    wallet = "Wallet";
    estimated_payout = "If a block came now";
    no_worker = "No worker is connected. Give them the address above.";
    node_log = "What has happened";
    pool_address = "Pool address";
    pool_address_says = "Give it to those who join: adit mine --url ADDRESS --user WALLET.NAME";
    pool_name = "Name of the pool";
    pool_fee = "Pool's fee in percent, 0 to 10";
    host_address = "Where the fee is paid; empty: it stays in the pool's wallet";
    foundation_says = "For development the foundation gets";
    fee_holds = "A changed fee holds from the next round on: the open one keeps what it began with.";
    host_start = "Start hosting";
    host_again = "Change and start anew";
    host_stop = "Stop hosting";
    no_pool_to_host = "There is no [[pool]] in the settings of this node: it can only join others.";
    pool_url = "URL of the pool";
    tls_fingerprint = "Its certificate's SHA-256, if it signed that itself; else empty";
    wallet_address = "Whom it pays: your address";
    profile = "How much of this machine";
    laptop_says = "a quarter of the cores, half of the time";
    balanced_says = "half of the cores";
    beast_says = "all of it";
    fall_back = "Seconds without the pool before mining alone; 0: never";
    join_start = "Connect";
    join_again = "Change and connect anew";
    join_stop = "Disconnect";

    // Verify.
    verify = "Verify";
    verify_title = "Check the pool";
    verify_says = "Every accepted share stands in a log of its day, and the pool signs each log. Whoever has a receipt can show that its share counted, and nobody can change a day later. Nothing here has to be believed: adit verify checks it from files alone.";
    verify_key = "The pool's key";
    verify_key_says = "Keep a copy: it must be the same every time.";
    verify_open = "Today's log";
    verify_own = "Check your own shares";
    verify_own_says = "Fetch what the pool signed, your receipts and your sum of a day, and check them on a machine of yours. Others than this program can do so, too: the format is written down.";
    verify_host = "POOL";
    verify_fill = "Fill in";
    verify_days = "Days that are signed";
    verify_no_day = "No day was signed yet: the first is a minute after midnight, UTC.";
    verify_date = "Day";
    verify_miners = "Miners";
    verify_root = "Root of the log";
    verify_files = "Files";
    verify_statement = "statement";
    verify_log = "log";
    told_of = "Told lately";
    told_nothing = "Nothing to tell yet.";
    how_to_be_told = "Alerts can be had by webhook, e-mail, ntfy, Telegram or Discord: a text that is signed with this address asks for them.";

    // Errors.
    error_title = "That did not work";
    back_home = "Back to the pool";
}
