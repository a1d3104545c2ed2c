-- Questions as analysts ask them, one a line. Each must give the same columns and rows as it stands and as the sandbox prints it.
SELECT count() FROM dossiers
SELECT province, count() AS received FROM dossiers WHERE accepted_at >= '2026-11-01' GROUP BY province ORDER BY received DESC, province
SELECT p.name_vi, count() AS n FROM dossiers AS d INNER JOIN provinces AS p ON p.province = d.province AND p.scheme = 'gso34' GROUP BY p.name_vi ORDER BY n DESC, p.name_vi
SELECT toStartOfMonth(accepted_at) AS month, count() AS n, countIf(channel = 'online') AS online, online / n AS rate FROM dossiers GROUP BY month ORDER BY month
SELECT service_id, round(100 * countIf(ended_at > accepted_at AND ended_at <= due_at) / nullIf(count(), 0), 2) AS on_time FROM dossiers WHERE due_at > toDateTime(0) GROUP BY service_id
SELECT toDate(accepted_at) AS day, count() FROM dossiers WHERE accepted_at BETWEEN '2026-11-01 00:00:00' AND '2026-11-30 23:59:59' GROUP BY day ORDER BY day WITH FILL FROM toDate('2026-11-01') TO toDate('2026-11-11') STEP 1
SELECT quantile(0.5)(latency_ms) AS p50, quantile(0.99)(latency_ms) AS p99, max(latency_ms) FROM authentications
SELECT quantilesExact(0.5, 0.9, 0.99)(latency_ms) FROM authentications WHERE latency_ms IS NOT NULL
SELECT outcome, count() AS n, n / sum(n) OVER () AS share FROM authentications GROUP BY outcome ORDER BY n DESC
SELECT province, outcome, count() FROM authentications GROUP BY province, outcome WITH ROLLUP ORDER BY province, outcome
SELECT province, service_id, count() FROM dossiers GROUP BY CUBE(province, service_id) ORDER BY ALL
SELECT province, service_id, count() FROM dossiers GROUP BY GROUPING SETS ((province), (service_id), ()) ORDER BY ALL
SELECT province, count() FROM dossiers GROUP BY ALL HAVING count() > 1 ORDER BY ALL
WITH monthly AS (SELECT toStartOfMonth(accepted_at) AS m, count() AS n FROM dossiers GROUP BY m) SELECT m, n, n - lagInFrame(n) OVER (ORDER BY m) AS change FROM monthly ORDER BY m
WITH a AS (SELECT province, count() AS n FROM dossiers GROUP BY province), b AS (SELECT province, count() AS n FROM authentications GROUP BY province) SELECT a.province, a.n, b.n FROM a LEFT JOIN b ON a.province = b.province ORDER BY a.province
WITH a AS (SELECT province, count() AS n FROM dossiers GROUP BY province), top AS (SELECT province FROM a ORDER BY n DESC, province LIMIT 2) SELECT * FROM a WHERE province IN (SELECT province FROM top) ORDER BY province
WITH top AS (SELECT province FROM dossiers GROUP BY province ORDER BY province LIMIT 2) SELECT province, count() FROM authentications WHERE province IN top GROUP BY province ORDER BY province
WITH (SELECT count() FROM dossiers) AS total SELECT province, count() / total AS share FROM dossiers GROUP BY province ORDER BY province
WITH toDate('2026-11-01') AS first_day SELECT dateDiff('day', first_day, registered_on) AS days, count() FROM dossiers GROUP BY days ORDER BY days
WITH dossiers AS (SELECT * FROM dossiers WHERE province = '79') SELECT count() FROM dossiers
WITH x AS (SELECT 1 AS a) SELECT * FROM x UNION ALL SELECT a + 1 FROM x ORDER BY a
SELECT * FROM (SELECT province, dossier, row_number() OVER (PARTITION BY province ORDER BY accepted_at DESC, dossier) AS r FROM dossiers) WHERE r = 1 ORDER BY province
SELECT province, dossier, rank() OVER w AS r, dense_rank() OVER w AS d FROM dossiers WINDOW w AS (PARTITION BY province ORDER BY supplements DESC) ORDER BY province, dossier, r LIMIT 10
SELECT registered_on, count() AS n, sum(n) OVER (ORDER BY registered_on ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS total FROM dossiers GROUP BY registered_on ORDER BY registered_on
SELECT registered_on, avg(count()) OVER (ORDER BY registered_on ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) AS moving FROM dossiers GROUP BY registered_on ORDER BY registered_on
SELECT province, dossier FROM dossiers ORDER BY province, dossier LIMIT 2 BY province
SELECT DISTINCT province FROM dossiers ORDER BY province
SELECT DISTINCT ON (province) province, dossier FROM dossiers ORDER BY province, dossier
SELECT dossier FROM dossiers ORDER BY dossier LIMIT 5 OFFSET 3
SELECT dossier FROM dossiers ORDER BY dossier LIMIT 3, 5
SELECT supplements FROM dossiers ORDER BY supplements LIMIT 1 WITH TIES
SELECT dossier FROM dossiers ORDER BY dossier OFFSET 2 ROWS FETCH FIRST 3 ROWS ONLY
SELECT CASE WHEN supplements = 0 THEN 'none' WHEN supplements = 1 THEN 'one' ELSE 'many' END AS k, count() FROM dossiers GROUP BY k ORDER BY k
SELECT CASE channel WHEN 'online' THEN 1 WHEN 'direct' THEN 2 ELSE 0 END AS c, count() FROM dossiers GROUP BY c
SELECT if(province = '', 'Trung ương', province) AS `nơi`, count() AS "số hồ sơ" FROM dossiers GROUP BY 1 ORDER BY 1
SELECT multiIf(latency_ms < 3, 'fast', latency_ms < 6, 'middling', 'slow') AS speed, count() FROM authentications GROUP BY speed ORDER BY speed
SELECT coalesce(latency_ms, 0) + 1, ifNull(latency_ms, -1), nullIf(latency_ms, 1) FROM authentications ORDER BY ALL LIMIT 5
SELECT arrayJoin(auth_method) AS method, count() FROM authentications GROUP BY method ORDER BY method
SELECT count(), m FROM authentications ARRAY JOIN auth_method AS m GROUP BY m ORDER BY m
SELECT count() FROM authentications LEFT ARRAY JOIN auth_method AS m
SELECT arrayMap(x -> x * 2, [1, 2, 3]), arrayFilter((x, y) -> x > y, [1, 5], [2, 3]), arraySum(x -> x * x, [1, 2, 3]), arraySort(x -> -x, [3, 1, 2])
SELECT groupArray(dossier)[1] AS first, arrayStringConcat(arraySort(groupUniqArray(province)), ',') FROM (SELECT * FROM dossiers ORDER BY dossier)
SELECT tuple(1, 'a').1, (1, 'b').2, [10, 20][2], map('k', 5)['k'], (dossier, province).1 FROM dossiers ORDER BY dossier LIMIT 1
SELECT substring(dossier, 1, 6), upper(province), length(dossier), position(dossier, 'of'), replaceAll(dossier, ' ', '_'), splitByChar(' ', dossier)[2] FROM dossiers ORDER BY dossier LIMIT 3
SELECT dossier LIKE 'secret%', dossier NOT LIKE '%01%', dossier ILIKE 'SECRET%', match(dossier, '^secret of \d+'), dossier || '/' || province FROM dossiers ORDER BY dossier LIMIT 3
SELECT 'it''s', 'a\\b', 'tab\t', '100\%', 'Hà Nội', 'x' || 'y' = 'xy', concat('a', NULL)
SELECT 1 + 2 * 3, (1 + 2) * 3, 7 % 3, 7 DIV 2, -5 % 3, - (2 + 3), 2 - -2, 1 - 2 - 3, 10 / 4, intDiv(10, 4), 1e3, 0x10, 0b11, 1_000
SELECT 1 = 1 AND 2 = 2 OR 3 = 4, NOT 1 = 2, 1 BETWEEN 0 AND 2 AND 1, 1 IS NULL = 0, NULL IS NULL, 1 <=> NULL, 1 IN (1, 2), (1, 2) IN ((1, 2)), 3 NOT IN [1, 2]
SELECT -1::Int8, '5'::UInt8 + 1, 1.5::Decimal(10, 2), CAST('2026-01-01' AS Date), CAST(1 AS String) || 'x', [1, 2]::Array(UInt64), toTypeName(-1), toTypeName(-(1)), toTypeName(1)
SELECT toDecimal64(1, 4) / 3, toFloat32(0.1) + 0.2, round(2.5), roundBankers(2.5), floor(-1.5), ceil(1.2), sign(-3), abs(-3), power(2, 10), sqrt(16)
SELECT DATE '2026-11-21' + INTERVAL 1 MONTH, toDate('2026-01-31') + INTERVAL 1 MONTH, TIMESTAMP '2026-11-21 10:00:00' - INTERVAL 90 MINUTE, INTERVAL 2 DAY, DATE_ADD(DAY, 3, toDate('2026-01-01'))
SELECT EXTRACT(YEAR FROM toDate('2026-11-21')), EXTRACT(MONTH FROM toDate('2026-11-21')), toDayOfWeek(toDate('2026-11-21')), toISOWeek(toDate('2026-11-21')), formatDateTime(toDateTime('2026-11-21 10:42:17'), '%d/%m/%Y %H:%i'), dateDiff('hour', toDateTime('2026-11-21 00:00:00'), toDateTime('2026-11-22 01:00:00'))
SELECT toStartOfInterval(toDateTime('2026-11-21 10:42:17'), INTERVAL 15 MINUTE), date_trunc('month', toDate('2026-11-21')), toYYYYMM(toDate('2026-11-21')), toStartOfWeek(toDate('2026-11-21'), 1), toQuarter(toDate('2026-11-21'))
SELECT toUnixTimestamp64Milli(occurred_at), toHour(occurred_at), toTimezone(occurred_at, 'UTC') FROM authentications ORDER BY ALL LIMIT 3
SELECT w.working, count() FROM dossiers AS d ASOF JOIN (SELECT *, 'DA06-03' AS s FROM working_calendar) AS w ON d.service_id = w.s AND d.registered_on >= w.day GROUP BY w.working ORDER BY w.working
SELECT w.working, count() FROM dossiers AS d JOIN working_calendar AS w ON w.day = d.registered_on GROUP BY w.working ORDER BY w.working
SELECT count() FROM dossiers AS d LEFT SEMI JOIN authentications AS a ON a.province = d.province
SELECT count() FROM dossiers AS d LEFT ANTI JOIN provinces AS p ON p.province = d.province
SELECT count() FROM dossiers AS d ANY LEFT JOIN authentications AS a USING (province)
SELECT count() FROM dossiers d FULL OUTER JOIN reports r USING (province)
SELECT count() FROM provinces a CROSS JOIN services b
SELECT count() FROM provinces a, services b WHERE a.scheme = 'gso34'
SELECT d.province, s.name_vi FROM dossiers d JOIN services s USING service_id GROUP BY ALL ORDER BY ALL
SELECT province FROM dossiers UNION DISTINCT SELECT province FROM reports ORDER BY province
SELECT province FROM dossiers INTERSECT SELECT province FROM provinces
SELECT DISTINCT province FROM dossiers EXCEPT SELECT province FROM provinces
(SELECT 1 AS a) UNION ALL (SELECT 2 UNION DISTINCT SELECT 2)
SELECT count() FROM dossiers WHERE province IN (SELECT province FROM provinces WHERE scheme = 'gso34') AND NOT EXISTS (SELECT 1 FROM services WHERE service_id = 'none')
SELECT province, (SELECT count() FROM services) AS services FROM provinces ORDER BY province
SELECT max(n) FROM (SELECT province, count() AS n FROM dossiers GROUP BY province)
SELECT 5 > ALL (SELECT number FROM numbers(5)), 3 = ANY (SELECT number FROM numbers(5)), 9 != ALL (SELECT number FROM numbers(5))
SELECT sum(value) FROM reports WHERE metric_id LIKE 'secret%' AND province = ''
SELECT metric_id, argMax(value, as_of) AS newest, max(as_of) FROM reports GROUP BY metric_id ORDER BY metric_id
SELECT uniqExact(dossier), uniq(province), any(province) IN ('01', '79', ''), topK(1)(service_id), sumIf(supplements, province = '79'), avgIf(supplements, 1), countDistinct(province) FROM dossiers
SELECT count(DISTINCT province), count(DISTINCT province, service_id), sum(supplements) FILTER (WHERE province = '79') FROM dossiers
SELECT sumMap(map(province, 1)), groupArraySorted(3)(supplements), histogram(2)(supplements) FROM dossiers
SELECT corr(supplements, supplement_ms), stddevPop(supplements), varSamp(supplements), simpleLinearRegression(supplements, supplement_ms) FROM dossiers
SELECT * EXCEPT (source_ref) FROM reports ORDER BY ALL LIMIT 2
SELECT * REPLACE (upper(province) AS province) FROM provinces ORDER BY province
SELECT COLUMNS('^s') FROM dossiers ORDER BY ALL LIMIT 2
SELECT * APPLY(max) FROM (SELECT supplements, supplement_ms FROM dossiers)
SELECT p.*, s.service_id FROM provinces AS p CROSS JOIN services AS s ORDER BY p.code
SELECT number, number * number AS sq FROM numbers(5) WHERE number % 2 = 1
SELECT toDate('2026-11-01') + number AS day, countIf(d.registered_on = day) AS n FROM numbers(3) AS n3 CROSS JOIN dossiers AS d GROUP BY day ORDER BY day
SELECT JSONExtractInt('{"a": {"b": 3}}', 'a', 'b'), JSONExtract('{"a": [1, 2]}', 'a', 'Array(UInt8)'), JSON_VALUE('{"a": 1}', '$.a'), isValidJSON('{}')
SELECT saving_vnd * count() FROM dossiers d JOIN savings_coefficients c ON c.service_id = d.service_id WHERE toDate(d.ended_at) BETWEEN c.valid_from AND c.valid_to GROUP BY saving_vnd
SELECT province, count() AS n, bar(n, 0, 100, 10) FROM dossiers GROUP BY province ORDER BY province
SELECT toDate(accepted_at) AS accepted_at, count() FROM dossiers GROUP BY accepted_at ORDER BY accepted_at LIMIT 3
SELECT province AS p, count() AS c FROM dossiers WHERE p != '' GROUP BY p ORDER BY c DESC, p
SELECT dossiers.province, ioc.dossiers.service_id FROM ioc.dossiers ORDER BY ALL LIMIT 1
SELECT lead(registered_on) OVER (PARTITION BY province ORDER BY registered_on) AS next, first_value(dossier) OVER (ORDER BY dossier) FROM dossiers ORDER BY ALL LIMIT 3
SELECT province, dossier FROM dossiers QUALIFY row_number() OVER (PARTITION BY province ORDER BY dossier) = 1 ORDER BY province
SELECT registered_on AS d, count() AS n FROM dossiers GROUP BY d ORDER BY d WITH FILL TO toDate('2026-11-12') STEP INTERVAL 2 DAY INTERPOLATE (n AS n + 1)
SELECT name_vi FROM provinces ORDER BY name_vi DESC COLLATE 'vi'
SELECT province, count() AS n FROM dossiers GROUP BY province WITH TOTALS ORDER BY province
SELECT task, status, due_at < now() AS late FROM tasks ORDER BY task LIMIT 3
SELECT criterion, sum(passing) / nullIf(sum(evaluated), 0) FROM quality_reports GROUP BY criterion
SELECT source, (sum(accepted) + sum(duplicates)) / (sum(accepted) + sum(rejected) + sum(duplicates)) AS dung, quantileExactWeighted(0.99)(age_seconds, accepted) AS song FROM feeds GROUP BY source ORDER BY source
SELECT toStartOfHour(occurred_at) AS h, count() FROM queries GROUP BY h ORDER BY h
SELECT kpi, province, value, minute FROM published_values WHERE minute >= toDateTime('2026-11-01 00:00:00', 'Asia/Ho_Chi_Minh') AND minute <= toDateTime('2026-11-01 12:30:00', 'Asia/Ho_Chi_Minh') ORDER BY minute DESC LIMIT 1 BY kpi, province, period
