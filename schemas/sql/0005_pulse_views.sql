-- The stable views for everybody's own SQL: dashboards, notebooks, `POST /v1/analytics/sql`. Tables may change, these do
-- not: columns are added at their end, never renamed, never removed. Each names the workspace and the monitor first.

CREATE VIEW IF NOT EXISTS pulse_monitors {on_cluster}
(
    workspace  String COMMENT 'whose it is',
    monitor    String COMMENT 'workspace/slug, as in every other view',
    slug       String COMMENT 'the monitor in the API and on pages',
    name       String COMMENT 'what people read; may be empty',
    url        String COMMENT 'what is checked',
    paused     Bool COMMENT 'nobody checks it now',
    revised_at DateTime64(3, 'UTC') COMMENT 'when its newest version was written',
    revised_by String COMMENT 'the key that wrote it',
    version    UInt64 COMMENT 'monitor_version of the results taken under it',
    document   String COMMENT 'all of it as JSON; what it does not say is the default'
)
COMMENT 'Monitors as they are now, without those that were deleted.'
AS SELECT
    substringIndex(id, '/', 1) AS workspace,
    id AS monitor,
    substring(id, position(id, '/') + 1) AS slug,
    JSONExtractString(newest.3, 'name') AS name,
    JSONExtractString(newest.3, 'url') AS url,
    JSONExtractBool(newest.3, 'paused')::Bool AS paused,
    newest.1 AS revised_at,
    newest.2 AS revised_by,
    newest.4 AS version,
    newest.3 AS document
FROM
(
    -- By time first: after a loss of Kafka's data versions count from 0 again.
    SELECT versions.monitor AS id,
           argMax(
               (versions.at, versions.by, versions.document, versions.version), (versions.at, versions.version)
           ) AS newest
    FROM monitor_versions AS versions
    GROUP BY id
)
WHERE newest.3 != '';

CREATE VIEW IF NOT EXISTS pulse_results {on_cluster}
(
    workspace        String COMMENT 'whose monitor it is',
    monitor          String COMMENT 'workspace/slug',
    region           String COMMENT 'where the probe runs',
    scheduled_at     DateTime64(3, 'UTC') COMMENT 'when the check was due; with monitor and region its identity',
    started_delay_ms UInt32 COMMENT 'how much later it began',
    outcome          String COMMENT 'up, degraded, down, or unknown: the probe itself could not tell',
    reason           String COMMENT 'ok, timeout, http_status ...',
    status_code      UInt16 COMMENT 'of HTTP; 0 where there was no answer',
    dns_us           UInt32 COMMENT 'microseconds to resolve the name',
    connect_us       UInt32 COMMENT 'microseconds to connect',
    tls_us           UInt32 COMMENT 'microseconds of the TLS handshake',
    ttfb_us          UInt32 COMMENT 'microseconds from the request to the first byte',
    transfer_us      UInt32 COMMENT 'microseconds from the first byte to the last',
    total_us         UInt32 COMMENT 'microseconds of the whole check; 0 where nothing was measured',
    overloaded       Bool COMMENT 'the probe had too much to do: its latency does not count',
    late             Bool COMMENT 'it came too late to change any status',
    message          String COMMENT 'what was wrong, in words',
    detail           String COMMENT 'JSON of failures, components and evidence; empty when up',
    monitor_version  UInt64 COMMENT 'the version of the monitor under which it was taken',
    annulled         Bool COMMENT 'a person has taken it out of the record: it counts nowhere'
)
COMMENT 'Check results, each once, for as long as raw results are kept.'
AS SELECT
    substringIndex(results.monitor, '/', 1) AS workspace, results.monitor AS monitor, region, scheduled_at,
    started_delay_ms, outcome, reason, status_code, dns_us, connect_us, tls_us, ttfb_us, transfer_us, total_us,
    overloaded, late, message, detail, monitor_version, annulled
FROM results_with_annulments AS results;

CREATE VIEW IF NOT EXISTS pulse_results_minutely {on_cluster}
(
    workspace     String COMMENT 'whose monitor it is',
    monitor       String COMMENT 'workspace/slug',
    region        String COMMENT 'where the probe runs',
    minute        DateTime('UTC') COMMENT 'its begin',
    checks        UInt64 COMMENT 'results in it, by outcome:',
    up            UInt64 COMMENT 'results that were up',
    degraded      UInt64 COMMENT 'results that were degraded',
    down          UInt64 COMMENT 'results that were down',
    unknown       UInt64 COMMENT 'results of which the probe could not tell',
    mean_total_us Nullable(Float64) COMMENT 'microseconds, of answers as in pulse_latency_hourly; NULL without any',
    max_total_us  Nullable(UInt32) COMMENT 'microseconds, of the same answers'
)
COMMENT 'Results by minute and region, of the last seven days, without annulled ones.'
AS SELECT
    substringIndex(minutes.monitor, '/', 1) AS workspace, minutes.monitor AS monitor, region, minute,
    checks, up, degraded, down, unknown, mean_total_us, max_total_us
FROM results_minutely AS minutes;

CREATE VIEW IF NOT EXISTS pulse_uptime_hourly {on_cluster}
(
    workspace      String COMMENT 'whose monitor it is',
    monitor        String COMMENT 'workspace/slug',
    hour           DateTime('UTC') COMMENT 'its begin',
    known_until    DateTime64(3, 'UTC') COMMENT 'up to when it is counted',
    up_ms          UInt32 COMMENT 'milliseconds of each status; uptime = (up + degraded) / (up + degraded + down)',
    degraded_ms    UInt32 COMMENT 'counts as up',
    down_ms        UInt32 COMMENT 'counts as down',
    unknown_ms     UInt32 COMMENT 'outside of uptime: nobody knows',
    maintenance_ms UInt32 COMMENT 'outside of uptime',
    paused_ms      UInt32 COMMENT 'outside of uptime'
)
COMMENT 'Time by status in each hour.'
AS SELECT
    substringIndex(hours.monitor, '/', 1) AS workspace, hours.monitor AS monitor, bucket AS hour, known_until,
    up_ms, degraded_ms, down_ms, unknown_ms, maintenance_ms, paused_ms
FROM uptime_hourly AS hours FINAL;

CREATE VIEW IF NOT EXISTS pulse_uptime_daily {on_cluster}
(
    workspace      String COMMENT 'whose monitor it is',
    monitor        String COMMENT 'workspace/slug',
    day            Date COMMENT 'of UTC',
    known_until    DateTime64(3, 'UTC') COMMENT 'up to when it is counted',
    up_ms          UInt32 COMMENT 'milliseconds of each status; uptime = (up + degraded) / (up + degraded + down)',
    degraded_ms    UInt32 COMMENT 'counts as up',
    down_ms        UInt32 COMMENT 'counts as down',
    unknown_ms     UInt32 COMMENT 'outside of uptime: nobody knows',
    maintenance_ms UInt32 COMMENT 'outside of uptime',
    paused_ms      UInt32 COMMENT 'outside of uptime'
)
COMMENT 'Time by status in each day of UTC.'
AS SELECT
    substringIndex(days.monitor, '/', 1) AS workspace, days.monitor AS monitor, toDate(bucket) AS day, known_until,
    up_ms, degraded_ms, down_ms, unknown_ms, maintenance_ms, paused_ms
FROM uptime_daily AS days FINAL;

CREATE VIEW IF NOT EXISTS pulse_uptime_monthly {on_cluster}
(
    workspace      String COMMENT 'whose monitor it is',
    monitor        String COMMENT 'workspace/slug',
    month          Date COMMENT 'its first day, of UTC',
    known_until    DateTime64(3, 'UTC') COMMENT 'up to when it is counted',
    up_ms          UInt64 COMMENT 'milliseconds of each status; uptime = (up + degraded) / (up + degraded + down)',
    degraded_ms    UInt64 COMMENT 'counts as up',
    down_ms        UInt64 COMMENT 'counts as down',
    unknown_ms     UInt64 COMMENT 'outside of uptime: nobody knows',
    maintenance_ms UInt64 COMMENT 'outside of uptime',
    paused_ms      UInt64 COMMENT 'outside of uptime'
)
COMMENT 'Time by status in each month of UTC.'
AS SELECT
    substringIndex(months.monitor, '/', 1) AS workspace, months.monitor AS monitor, toDate(months.month) AS month,
    known_until, up_ms, degraded_ms, down_ms, unknown_ms, maintenance_ms, paused_ms
FROM uptime_monthly AS months;

CREATE VIEW IF NOT EXISTS pulse_latency_hourly {on_cluster}
(
    workspace   String COMMENT 'whose monitor it is',
    monitor     String COMMENT 'workspace/slug',
    region      String COMMENT 'where the probe runs',
    hour        DateTime('UTC') COMMENT 'its begin',
    checks      UInt32 COMMENT 'answered ones that were measured, without those of an overloaded probe',
    dns_us      UInt64 COMMENT 'sum over the checks, as all of these: divide by checks',
    connect_us  UInt64 COMMENT 'sum over the checks',
    tls_us      UInt64 COMMENT 'sum over the checks',
    ttfb_us     UInt64 COMMENT 'sum over the checks',
    transfer_us UInt64 COMMENT 'sum over the checks',
    total_us    UInt64 COMMENT 'sum over the checks',
    p50_ms      Float64 COMMENT 'of the hour; of a longer time sum the histograms',
    p95_ms      Float64 COMMENT 'as p50_ms',
    p99_ms      Float64 COMMENT 'as p50_ms',
    histogram   Array(UInt32) COMMENT 'checks by latency; bin i (from 0) begins at 2 ^ (i / 8) ms; add with sumForEach'
)
COMMENT 'Latency of each hour and region.'
AS WITH
    arrayCumSum(histogram) AS cumulative,
    (share -> arrayFirstIndex(count -> count >= share * cumulative[-1], cumulative)) AS place,
    (share -> exp2((place(share) - 1 + (share * cumulative[-1] - cumulative[place(share)] + histogram[place(share)])
        / histogram[place(share)]) / 8)) AS quantile_ms
SELECT
    substringIndex(hours.monitor, '/', 1) AS workspace, hours.monitor AS monitor, region, bucket AS hour,
    checks, dns_us, connect_us, tls_us, ttfb_us, transfer_us, total_us,
    quantile_ms(0.5) AS p50_ms, quantile_ms(0.95) AS p95_ms, quantile_ms(0.99) AS p99_ms, histogram
FROM latency_hourly AS hours FINAL
WHERE checks > 0;

CREATE VIEW IF NOT EXISTS pulse_current_status {on_cluster}
(
    workspace   String COMMENT 'whose monitor it is',
    monitor     String COMMENT 'workspace/slug',
    status      String COMMENT 'up, degraded, down, unknown, maintenance, paused',
    since       DateTime64(3, 'UTC') COMMENT 'the first result that showed it',
    known_until DateTime64(3, 'UTC') COMMENT 'the newest that says so',
    reason      String COMMENT 'why',
    message     String COMMENT 'why, in words',
    incident    String COMMENT 'id of the open one, or empty'
)
COMMENT 'What each monitor is now.'
AS SELECT
    substringIndex(newest.monitor, '/', 1) AS workspace, newest.monitor AS monitor, status, since, known_until,
    reason, message, incident
FROM current_status AS newest FINAL
WHERE NOT deleted;

CREATE VIEW IF NOT EXISTS pulse_status_history {on_cluster}
(
    workspace String COMMENT 'whose monitor it is',
    monitor   String COMMENT 'workspace/slug',
    status    String COMMENT 'what it was',
    at        DateTime64(3, 'UTC') COMMENT 'from when',
    until     Nullable(DateTime64(3, 'UTC')) COMMENT 'until when; NULL while it lasts',
    reason    String COMMENT 'why',
    message   String COMMENT 'why, in words',
    incident  String COMMENT 'id of the one that it belongs to, or empty'
)
COMMENT 'From when until when a monitor had which status.'
AS SELECT
    substringIndex(history.monitor, '/', 1) AS workspace, history.monitor AS monitor, status, at, until,
    reason, message, incident
FROM status_history AS history;

CREATE VIEW IF NOT EXISTS pulse_incidents {on_cluster}
(
    workspace           String COMMENT 'whose monitor it is',
    monitor             String COMMENT 'workspace/slug',
    incident            String COMMENT 'its id',
    state               String COMMENT 'open, resolved, or annulled: it never was',
    severity            String COMMENT 'degraded or down, the worst that it was',
    opened_at           DateTime64(3, 'UTC') COMMENT 'the first bad moment',
    decided_at          DateTime64(3, 'UTC') COMMENT 'when enough results had confirmed it',
    resolved_at         Nullable(DateTime64(3, 'UTC')) COMMENT 'recovery; NULL while it is open',
    reason              String COMMENT 'why',
    message             String COMMENT 'why, in words',
    affected_regions    Array(String) COMMENT 'where it was seen',
    affected_components Array(String) COMMENT 'which parts of the service a health document named'
)
COMMENT 'Incidents, each in its newest version.'
AS SELECT
    substringIndex(newest.monitor, '/', 1) AS workspace, newest.monitor AS monitor, id AS incident, state, severity,
    opened_at, decided_at, resolved_at, reason, message, regions AS affected_regions, components AS affected_components
FROM incidents AS newest FINAL;

CREATE VIEW IF NOT EXISTS pulse_component_status {on_cluster}
(
    workspace String COMMENT 'whose monitor it is',
    monitor   String COMMENT 'workspace/slug',
    region    String COMMENT 'where the probe runs',
    component String COMMENT 'as the health document names it',
    outcome   String COMMENT 'what it last was; unknown where its region is silent',
    at        DateTime64(3, 'UTC') COMMENT 'when a result last said so',
    message   String COMMENT 'what was wrong, in words'
)
COMMENT 'What each part of a health document last was.'
AS SELECT
    substringIndex(newest.monitor, '/', 1) AS workspace, newest.monitor AS monitor, region, component, outcome, at,
    message
FROM components AS newest FINAL
WHERE NOT gone;
