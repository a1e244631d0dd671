//! A miner's lists as CSV (RFC 4180), whole, for spreadsheets and accountants.

use axum::{
    Json,
    http::{HeaderName, header},
    response::{IntoResponse, Response},
};

use super::{
    credits::{self, Credit},
    miner::Miner,
    page::{Page, PageQuery},
    payments::{self, Payment},
    problem::{MinerProblems, Problem},
    statement::{self, StatementLine},
};

/// Rows that are fetched at once.
const STEP: u32 = 500;
/// The most rows of a file; the API's pages have the rest.
const ROWS_MAX: usize = 100_000;

/// A line that is being put together.
struct Line<'t>(&'t mut String);

impl Line<'_> {
    /// A text of anybody's. A spreadsheet would take some first characters for a formula: those get an
    /// apostrophe before them.
    fn text(&mut self, text: &str) -> &mut Self {
        let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let text = if is_formula {
            format!("'{text}")
        } else {
            text.to_owned()
        };
        self.number(&text)
    }

    /// A text that is a number, or otherwise of our own making.
    fn number(&mut self, text: &str) -> &mut Self {
        if !self.0.is_empty() && !self.0.ends_with('\n') {
            self.0.push(',');
        }
        if text.contains(['"', ',', '\n', '\r']) || text.is_empty() {
            self.0.push('"');
            self.0.push_str(&text.replace('"', "\"\""));
            self.0.push('"');
        } else {
            self.0.push_str(text);
        }
        self
    }

    fn end(&mut self) {
        self.0.push_str("\r\n");
    }
}

/// What blocks brought, as CSV
///
/// All of `/credits`, in units and without their explanation.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/credits.csv", operation_id = "miner_credits_csv", tag = "miners",
    params(("address" = String, Path, description = "An address of a pool's coin")),
    responses((status = 200, description = "The file.", body = String, content_type = "text/csv"), MinerProblems)
)]
pub(crate) async fn of_credits(miner: Miner) -> Result<Response, Problem> {
    let header = "pool,coin,unit,block,height,found,state,reward,fees,window_work,work,amount\r\n";
    let list = |query| credits::list(miner.clone(), query);
    let text = all(header, list, |line, credit: &Credit| {
        line.text(&credit.of.pool)
            .text(credit.of.coin)
            .text(credit.of.unit)
            .text(&credit.block)
            .number(&credit.height.to_string())
            .text(&credit.found)
            .text(credit.state)
            .number(&credit.reward)
            .number(&credit.fees)
            .number(&credit.window_work)
            .number(&credit.work)
            .number(&credit.amount);
    });
    Ok(file("credits", &text.await?))
}

/// What was paid, as CSV
///
/// All of `/payouts`.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/payouts.csv", operation_id = "miner_payouts_csv", tag = "miners",
    params(("address" = String, Path, description = "An address of a pool's coin")),
    responses((status = 200, description = "The file.", body = String, content_type = "text/csv"), MinerProblems)
)]
pub(crate) async fn of_payouts(miner: Miner) -> Result<Response, Problem> {
    let header = "pool,coin,unit,payout,made,state,amount,pay_to,txid\r\n";
    let list = |query| payments::list(miner.clone(), query);
    let text = all(header, list, |line, payment: &Payment| {
        line.text(&payment.of.pool)
            .text(payment.of.coin)
            .text(payment.of.unit)
            .number(&payment.payout.to_string())
            .text(&payment.made)
            .text(payment.state)
            .number(&payment.amount)
            .text(&payment.pay_to)
            .text(payment.txid.as_deref().unwrap_or_default());
    });
    Ok(file("payouts", &text.await?))
}

/// What happened to a balance, as CSV
///
/// All of `/statement`.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/statement.csv", operation_id = "miner_statement_csv", tag = "miners",
    params(("address" = String, Path, description = "An address of a pool's coin")),
    responses((status = 200, description = "The file.", body = String, content_type = "text/csv"), MinerProblems)
)]
pub(crate) async fn of_statement(miner: Miner) -> Result<Response, Problem> {
    let header = "pool,coin,unit,entry,time,state,amount,reason,settled\r\n";
    let list = |query| statement::list(miner.clone(), query);
    let text = all(header, list, |line, entry: &StatementLine| {
        line.text(&entry.of.pool)
            .text(entry.of.coin)
            .text(entry.of.unit)
            .text(&entry.entry)
            .text(&entry.time)
            .text(&entry.state)
            .number(&entry.amount)
            .text(&entry.reason)
            .text(entry.settled.as_deref().unwrap_or_default());
    });
    Ok(file("statement", &text.await?))
}

/// All pages of a list, line by line.
async fn all<T, F>(
    header: &str,
    list: impl Fn(PageQuery) -> F,
    tell: impl Fn(&mut Line<'_>, &T),
) -> Result<String, Problem>
where
    T: utoipa::ToSchema,
    F: Future<Output = Result<Json<Page<T>>, Problem>>,
{
    let mut text = header.to_owned();
    let mut rows = 0;
    let mut cursor = None;
    loop {
        let Json(page) = list(PageQuery::of(STEP, cursor)).await?;
        for item in &page.items {
            let mut line = Line(&mut text);
            tell(&mut line, item);
            line.end();
        }
        rows += page.items.len();
        cursor = page.next;
        if cursor.is_none() || rows >= ROWS_MAX {
            return Ok(text);
        }
    }
}

fn file(name: &str, text: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.csv\""),
        ),
        (
            HeaderName::from_static("x-content-type-options"),
            "nosniff".to_owned(),
        ),
    ];
    (headers, text.to_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_no_other_cell() {
        let mut text = String::new();
        let mut line = Line(&mut text);
        line.text("=1+1")
            .text("+1")
            .text("-1")
            .text("@x")
            .text("\tx")
            .text("a,\"b\"")
            .text("");
        line.number("-5").text("plain").end();
        assert_eq!(
            text,
            "'=1+1,'+1,'-1,'@x,'\tx,\"a,\"\"b\"\"\",\"\",-5,plain\r\n"
        );
    }
}
