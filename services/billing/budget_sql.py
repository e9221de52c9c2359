"""The statements of budgets, in one place."""

from __future__ import annotations

STANDINGS = """
select asked.organization_id, asked.project_id, whole.hard_nanousd as whole_hard, whole.soft_nanousd as whole_soft,
    part.hard_nanousd as part_hard, part.soft_nanousd as part_soft,
    coalesce(whole_spent.amount_nanousd, 0) as whole_posted, coalesce(part_spent.amount_nanousd, 0) as part_posted,
    coalesce(terms.prepaid, false) as prepaid,
    (select coalesce(sum(amount_nanousd), 0)::bigint from billing.credit_grants as given
        where given.organization_id = asked.organization_id) as granted,
    coalesce(account.receivable_nanousd, 0) as used, (
        select coalesce(-sum(amount_nanousd), 0)::bigint from billing.corrections as correction
        where correction.organization_id = asked.organization_id and amount_nanousd < 0) as forgiven,
    terms.max_exposure_nanousd, lately.recovered_ids, lately.recovered_tokens
from unnest($1::text[], $2::text[]) with ordinality as asked(organization_id, project_id, place)
    left join billing.spend_limits as whole on (whole.organization_id, whole.project_id) = (asked.organization_id, '')
    left join billing.spend_limits as part
        on (part.organization_id, part.project_id) = (asked.organization_id, nullif(asked.project_id, ''))
    left join billing.spending as whole_spent
        on (whole_spent.organization_id, whole_spent.project_id, whole_spent.period) = (asked.organization_id, '', $3)
    left join billing.spending as part_spent
        on (part_spent.organization_id, part_spent.project_id, part_spent.period)
            = (asked.organization_id, asked.project_id, $3) and asked.project_id <> ''
    left join billing.payment_terms as terms on terms.organization_id = asked.organization_id
    left join billing.accounts as account on account.organization_id = asked.organization_id
    cross join lateral (
        select coalesce(array_agg(request_id), '{}') as recovered_ids,
            coalesce(array_agg(tokens), '{}') as recovered_tokens from (
            select request_id, prompt_tokens + completion_tokens as tokens from billing.usage_events as event
            where event.outcome = 'recovered' and event.organization_id = asked.organization_id
                and event.project_id = asked.project_id and event.received_time > now() - interval '1 hour'
            order by received_time desc limit 1000) as latest
    ) as lately
order by asked.place
"""

POSTED = """
select coalesce(sum(amount_nanousd), 0)::bigint from billing.spending
where period = $2 and ((project_id = $1 and project_id <> '') or (organization_id = $1 and project_id = ''))
"""

# Of a credit. What was taken back is still used: so much more credit there is.
USED = """
select (coalesce((select receivable_nanousd from billing.accounts where organization_id = $1), 0)
    - coalesce((select sum(amount_nanousd) from billing.corrections
        where organization_id = $1 and amount_nanousd < 0), 0))::bigint
"""

SET_LIMIT = """
insert into billing.spend_limits as bound (organization_id, project_id, hard_nanousd, soft_nanousd, set_time)
values ($1, $2, $3, $4, $5)
on conflict (organization_id, project_id) do update set
    hard_nanousd = excluded.hard_nanousd, soft_nanousd = excluded.soft_nanousd, set_time = case
        when (bound.hard_nanousd, bound.soft_nanousd) is distinct from (excluded.hard_nanousd, excluded.soft_nanousd)
        then excluded.set_time else bound.set_time end
"""

REMOVE_LIMIT = "delete from billing.spend_limits where organization_id = $1 and project_id = $2"

SET_TERMS = """
insert into billing.payment_terms (organization_id, prepaid, max_exposure_nanousd, set_time) values ($1, $2, $3, $4)
on conflict (organization_id) do update set
    prepaid = excluded.prepaid, max_exposure_nanousd = excluded.max_exposure_nanousd, set_time = excluded.set_time
"""

GRANT = """
with granted as (
    insert into billing.credit_grants (grant_id, organization_id, amount_nanousd, note, grant_time)
    values ($1, $2, $3, $4, $5) on conflict (grant_id) do nothing returning *
), entered as (
    insert into billing.ledger_entries (transaction_id, leg, organization_id, account, amount_nanousd)
    select 'grant/' || grant_id, 1, organization_id, 'grants', amount_nanousd from granted
    union all select 'grant/' || grant_id, 2, organization_id, 'prepaid', -amount_nanousd from granted
)
select count(*) from granted
"""

GRANTED = "select organization_id, amount_nanousd from billing.credit_grants where grant_id = $1"

ALERT_COLUMNS = "alert_id, organization_id, project_id, threshold_nanousd, recipients, subject_prefix, create_time"

CREATE_ALERT = f"""
insert into billing.spend_alerts ({ALERT_COLUMNS}, set_time)
select $1, $2, $3, $4, $5, $6, $7, $7
where (select count(*) from billing.spend_alerts where (organization_id, project_id) = ($2, $3)) < $8
returning alert_id
"""  # noqa: S608 - only our own constants

ALERTS = f"""
select {ALERT_COLUMNS} from billing.spend_alerts where organization_id = $1 and project_id = $2
order by create_time, alert_id
"""  # noqa: S608 - only our own constants

UPDATE_ALERT = f"""
update billing.spend_alerts set threshold_nanousd = $4, recipients = $5, subject_prefix = $6, set_time = $7
where (alert_id, organization_id, project_id) = ($1, $2, $3)
returning {ALERT_COLUMNS}
"""  # noqa: S608 - only our own constants

FORGET_FIRING = """
delete from billing.alert_firings where (organization_id, project_id, source, period) = ($1, $2, $3, $4)
"""

DELETE_ALERT = """
delete from billing.spend_alerts where (alert_id, organization_id, project_id) = ($1, $2, $3) returning alert_id
"""

# Every threshold that a month's spending has reached and that has not fired in this month: alerts and both limits. One
# that was changed since it fired is another. The month before is looked at as well ($4: when it ended), because what
# began in it may have been posted after its end.
FIRE = """
insert into billing.alert_firings as before (
    organization_id, project_id, source, period, message_id, threshold_nanousd, amount_nanousd, recipients,
    subject_prefix, fire_time, next_attempt_time)
select reached.organization_id, reached.project_id, reached.source, spent.period, 'msg_' || replace(
        gen_random_uuid()::text, '-', ''), reached.threshold_nanousd, spent.amount_nanousd, reached.recipients,
    reached.subject_prefix, $2::timestamptz, case when $3::boolean then $2::timestamptz end
from (
    select organization_id, project_id, alert_id as source, threshold_nanousd, recipients, subject_prefix, set_time
    from billing.spend_alerts
    union all
    select organization_id, project_id, 'hard', hard_nanousd, '{}', '', set_time from billing.spend_limits
    where hard_nanousd is not null
    union all
    select organization_id, project_id, 'soft', soft_nanousd, '{}', '', set_time from billing.spend_limits
    where soft_nanousd is not null
) as reached
    cross join unnest(array[$1, $5]) as looked_at(period)
    join billing.spending as spent on (spent.organization_id, spent.project_id, spent.period)
        = (reached.organization_id, reached.project_id, looked_at.period)
where spent.amount_nanousd >= reached.threshold_nanousd
    and (spent.period = $1 or reached.set_time < $4::timestamptz)
    and not exists (
        select 1 from billing.alert_firings as fired
        where (fired.organization_id, fired.project_id, fired.source, fired.period)
            = (reached.organization_id, reached.project_id, reached.source, spent.period)
            and fired.threshold_nanousd = reached.threshold_nanousd)
on conflict (organization_id, project_id, source, period) do update set
    message_id = excluded.message_id, threshold_nanousd = excluded.threshold_nanousd,
    amount_nanousd = excluded.amount_nanousd, recipients = excluded.recipients,
    subject_prefix = excluded.subject_prefix, fire_time = excluded.fire_time,
    next_attempt_time = excluded.next_attempt_time, attempt_count = 0, deliver_time = null
    where before.threshold_nanousd <> excluded.threshold_nanousd
returning organization_id, project_id, source, period, threshold_nanousd, amount_nanousd
"""

DUE = """
update billing.alert_firings as firing set attempt_count = attempt_count + 1, next_attempt_time = $2
from (
    select ctid from billing.alert_firings where next_attempt_time <= $1 order by next_attempt_time limit $3
    for update skip locked
) as due where firing.ctid = due.ctid
returning message_id, organization_id, project_id, source, period, threshold_nanousd, amount_nanousd, recipients,
    subject_prefix, fire_time, attempt_count
"""

DELIVERED = """
update billing.alert_firings set deliver_time = $2, next_attempt_time = null where message_id = $1
"""

RETRY = "update billing.alert_firings set next_attempt_time = $2 where message_id = $1 and deliver_time is null"
