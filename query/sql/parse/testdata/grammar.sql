-- Forms of the grammar, one statement a line. Each must mean to ClickHouse what its printing means (EXPLAIN AST is equal).
SELECT 1
SELECT 1, 2.5, .5, 1., 1e3, 1E-3, 0x1F, 0b101, 1_000_000, -1, - 1, -1.5e2, inf, nan, NULL, null, true, FALSE
SELECT 'a', 'it''s', 'it\'s', 'a\\b', 'tab\there', '\x41\x42', '100\%', '\d+', 'Hà Nội', 'null\0end', '\N', 'emoji 🇻🇳', '"', '`', '\/', 'x\=y'
SELECT a, `b c`, "d e", t.a, t.`b`, db.t.a, `it``s`, `back\\slash`
SELECT a AS x, b y, c AS `z z`, d AS "q", e AS date FROM t
SELECT 1 + 2 * 3 - 4 / 5 % 6, (1 + 2) * 3, 1 - (2 - 3), 1 - 2 - 3, 10 DIV 3, 10 MOD 3
SELECT -a, - -a, -(-a), -(1), -(a + b), a - -1, a * -1, -a * b, -a.1, -(a.1), a -1, a-1
SELECT a = b, a == b, a != b, a <> b, a < b, a <= b, a > b, a >= b, a <=> b, a IS DISTINCT FROM b, a IS NOT DISTINCT FROM b
SELECT a AND b OR c AND NOT d, NOT a AND b, NOT (a AND b), NOT a = b, NOT a IS NULL, a OR b OR c, (a OR b) OR c, a OR (b OR c), a AND b AND c AND d
SELECT a = b IS NULL, a IS NULL = b, a IS NOT NULL, (a IS NULL) IS NOT NULL, a + b IS NULL
SELECT a BETWEEN 1 AND 2, a NOT BETWEEN 1 AND 2, a BETWEEN b + 1 AND c * 2 AND d, NOT a BETWEEN 1 AND 2, (a BETWEEN 1 AND 2) = 1
SELECT a LIKE 'x%', a NOT LIKE 'x%', a ILIKE 'x%', a NOT ILIKE '%x', a REGEXP 'x+', a || b || c, a || (b || c), (a || b) || c, a || b = c
SELECT a IN (1, 2), a NOT IN (1), a IN ('x'), (a, b) IN ((1, 2), (3, 4)), a IN (SELECT 1), a NOT IN (SELECT 1), a IN [1, 2], a IN tuple(1, 2), a + 1 IN (2, 3), a IN (b, c), a IN (1 + 1, 2)
SELECT a ? b : c, a = 1 ? b : c
SELECT (1), (1, 2), (1,), ((1, 2), 3), [1, 2], [], [[1], [2, 3]], [a, 'b'], tuple(), tuple(1), array(1, 2)
SELECT (a, b).1, a.1, a.1.2, t.a.1, a[1], a[1][2], a[-1], a[b + 1].1, [1, 2, 3][2], (1, 'x').2, f(a).1, (a AS b).1
SELECT a::UInt8, 1::UInt8, -1::Int8, '1'::UInt8, a::Nullable(String)::String, 1.5::Decimal(10, 2), [1, 2]::Array(UInt8), (a + b)::Float64, -a::Int8, f(x)::Date, a.1::String
SELECT CAST(a AS UInt8), CAST(a, 'UInt8'), cast(a AS Nullable(DateTime64(3, 'Asia/Ho_Chi_Minh'))), CAST('x' AS Enum8('x' = 1, 'y' = -2)), CAST(a AS Tuple(x UInt8, y String)), CAST(a AS Map(String, Array(UInt64))), CAST(a + 1 AS Decimal(18, 4))
SELECT CASE WHEN a THEN 1 ELSE 2 END, CASE a WHEN 1 THEN 'x' WHEN 2 THEN 'y' END, CASE WHEN a = 1 THEN b WHEN a = 2 THEN c ELSE d END AS x, CASE a + 1 WHEN 2 THEN 1 ELSE 0 END
SELECT INTERVAL 1 DAY, INTERVAL '1' HOUR, INTERVAL '3 month', now() - INTERVAL 7 DAY, d + INTERVAL n WEEK, d + INTERVAL (n + 1) MONTH, INTERVAL -1 DAY, INTERVAL 2 YEARS
SELECT DATE '2026-01-01', TIMESTAMP '2026-01-01 00:00:00', EXTRACT(YEAR FROM d), EXTRACT(MONTH FROM d), EXTRACT(DAY FROM d), EXTRACT(HOUR FROM d), EXTRACT(QUARTER FROM d), extract(s, 'x')
SELECT TRIM(s), TRIM(BOTH 'x' FROM s), TRIM(LEADING ' ' FROM s), TRIM(TRAILING '0' FROM s), SUBSTRING(s FROM 2 FOR 3), SUBSTRING(s FROM 2), substring(s, 2, 3), POSITION('a' IN s), position(s, 'a')
SELECT DATE_ADD(DAY, 1, d), DATEADD(MONTH, n, d), DATE_SUB(HOUR, 2, d), DATE_ADD(a, INTERVAL 1 DAY), DATEDIFF(DAY, a, b), date_diff('day', a, b), dateDiff('hour', a, b), TIMESTAMPDIFF(MINUTE, a, b), TIMESTAMPADD(WEEK, 1, d)
SELECT count(), count(*), count(DISTINCT a), count(DISTINCT a, b), sum(a), sumIf(a, b > 1), quantile(0.5)(a), quantiles(0.5, 0.9)(a), topK(10)(a), groupArray(5)(a), uniqExact(a, b)
SELECT sum(a) FILTER (WHERE b = 1), any(a) IGNORE NULLS, any(a) RESPECT NULLS, first_value(a) IGNORE NULLS OVER (ORDER BY b)
SELECT arrayMap(x -> x + 1, a), arrayFilter((x, y) -> x > y, a, b), arrayMap((x) -> x, a), arraySort(x -> -x, a), arrayMap(x -> (x, 1), a), arrayMap(x -> x > 1 ? 'a' : 'b', a), arrayFold((acc, x) -> acc + x, a, 0)
SELECT f(a AS b, b + 1), (a AS b) + b, [a AS c, c], (a AS x, x + 1)
SELECT *, t.*, * EXCEPT (a), * EXCEPT a, t.* EXCEPT (a, b), * REPLACE (a + 1 AS a), * APPLY(sum), * EXCEPT (a) APPLY(quantile(0.9)), COLUMNS('^a'), t.COLUMNS('x'), COLUMNS(a, b) FROM t
SELECT {p:UInt8}, {q:Array(String)}, {r:Nullable(Date)} FROM t WHERE a = {p:UInt8} AND b IN {q:Array(String)}
SELECT DISTINCT a, b FROM t
SELECT DISTINCT ON (a, b) c FROM t
SELECT a FROM t WHERE a > 1 GROUP BY a HAVING count() > 1 ORDER BY a DESC LIMIT 10
SELECT a FROM db.t AS x
SELECT a FROM t x FINAL
SELECT a FROM t FINAL
SELECT a FROM (SELECT 1 AS a) AS x
SELECT a FROM (SELECT 1 AS a)
SELECT a FROM (SELECT 1 AS a UNION ALL SELECT 2) x
SELECT a FROM numbers(10) AS n
SELECT * FROM a JOIN b ON a.x = b.x
SELECT * FROM a INNER JOIN b USING (x, y)
SELECT * FROM a LEFT JOIN b USING x
SELECT * FROM a LEFT OUTER JOIN b ON a.x = b.x AND a.y > b.y
SELECT * FROM a RIGHT JOIN b USING (x) FULL OUTER JOIN c USING (x)
SELECT * FROM a ANY LEFT JOIN b USING (x)
SELECT * FROM a LEFT ANY JOIN b USING (x)
SELECT * FROM a ALL INNER JOIN b USING (x)
SELECT * FROM a LEFT SEMI JOIN b USING (x) LEFT ANTI JOIN c USING (x)
SELECT * FROM a ASOF LEFT JOIN b ON a.x = b.x AND a.t >= b.t
SELECT * FROM a ASOF JOIN b USING (x, t)
SELECT * FROM a CROSS JOIN b
SELECT * FROM a, b, c AS d WHERE a.x = b.x
SELECT * FROM a ARRAY JOIN arr
SELECT * FROM a ARRAY JOIN arr AS x, arrayEnumerate(arr) AS i
SELECT * FROM a LEFT ARRAY JOIN arr AS x JOIN b USING (k)
SELECT a, sum(b) FROM t GROUP BY a WITH ROLLUP
SELECT a, sum(b) FROM t GROUP BY a, c WITH CUBE
SELECT a, sum(b) FROM t GROUP BY ROLLUP(a, c)
SELECT a, sum(b) FROM t GROUP BY CUBE(a)
SELECT a, sum(b) FROM t GROUP BY GROUPING SETS ((a, b), (a), ())
SELECT a, sum(b) FROM t GROUP BY a WITH TOTALS
SELECT a, sum(b) FROM t GROUP BY a WITH ROLLUP WITH TOTALS
SELECT sum(b) FROM t WITH TOTALS
SELECT a, sum(b) FROM t GROUP BY ALL ORDER BY ALL
SELECT a FROM t ORDER BY a ASC, b DESC NULLS LAST, c NULLS FIRST, d COLLATE 'vi'
SELECT a FROM t ORDER BY a WITH FILL
SELECT a FROM t ORDER BY a WITH FILL FROM 1 TO 10 STEP 2
SELECT a FROM t ORDER BY a DESC WITH FILL FROM toDate('2026-01-01') TO toDate('2026-02-01') STEP INTERVAL 1 DAY INTERPOLATE (b AS b + 1, c)
SELECT a FROM t ORDER BY a WITH FILL STALENESS 3 INTERPOLATE
SELECT a FROM t LIMIT 5
SELECT a FROM t LIMIT 5 OFFSET 10
SELECT a FROM t LIMIT 10, 5
SELECT a FROM t ORDER BY a LIMIT 5 WITH TIES
SELECT a FROM t ORDER BY a OFFSET 3 ROWS FETCH FIRST 5 ROWS ONLY
SELECT a FROM t ORDER BY a FETCH FIRST 5 ROWS WITH TIES
SELECT a FROM t OFFSET 3
SELECT a FROM t LIMIT 2 BY b
SELECT a FROM t LIMIT 2 OFFSET 1 BY b, c LIMIT 5
SELECT a FROM t LIMIT {n:UInt64}
SELECT 1 UNION ALL SELECT 2
SELECT 1 UNION DISTINCT SELECT 2 UNION ALL SELECT 3
(SELECT 1) UNION ALL (SELECT 2 UNION DISTINCT SELECT 3)
SELECT 1 INTERSECT SELECT 2
SELECT 1 EXCEPT SELECT 2
SELECT 1 UNION ALL SELECT 2 INTERSECT SELECT 3
SELECT a FROM t EXCEPT (SELECT a FROM u)
WITH 1 AS x SELECT x
WITH (SELECT max(a) FROM t) AS m SELECT m
WITH x AS (SELECT 1 AS a), y AS (SELECT a FROM x) SELECT * FROM x JOIN y USING (a)
WITH x AS (SELECT 1), 2 AS two, a + 1 AS b SELECT two FROM x
WITH x AS (SELECT 1 UNION ALL SELECT 2) SELECT * FROM x UNION ALL SELECT * FROM x
SELECT (SELECT 1), (SELECT max(a) FROM t) + 1, EXISTS (SELECT 1), NOT EXISTS (SELECT 1), (SELECT 1, 2).1
SELECT a = ANY (SELECT 1), a > ALL (SELECT b FROM t), a != ALL (SELECT 1)
SELECT row_number() OVER (PARTITION BY a ORDER BY b), sum(a) OVER w, sum(a) OVER (w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), avg(x) OVER () FROM t WINDOW w AS (PARTITION BY a ORDER BY b DESC), v AS (ORDER BY c)
SELECT sum(a) OVER (ORDER BY b ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING), sum(a) OVER (ORDER BY b RANGE BETWEEN 1 + 1 PRECEDING AND 3 FOLLOWING), sum(a) OVER (ROWS UNBOUNDED PRECEDING), sum(a) OVER (ORDER BY b ROWS 2 PRECEDING)
SELECT a, row_number() OVER (ORDER BY a) AS r FROM t QUALIFY r <= 3
SELECT a /* comment */, b -- to the end
SELECT if(a, 1, 2), left(s, 3), right(s, 2), any(a), not(a), and(a, b), or(a, b), mod(a, b), like(a, 'x'), format('{}', a)
SELECT date, day, value, type, first, last, time, year, month, position, key, interval, columns, values, number FROM t
SELECT a.b.c.d, a.b.c.*, count(a.b)
SELECT map('a', 1)['a'], mapKeys(m), m['x'], m[concat('a', 'b')]
SELECT toDate(a) AS a, a AS b FROM t WHERE toDate(a) = '2026-01-01'
SELECT a FROM t WHERE a IN (SELECT a FROM u WHERE b IN (SELECT b FROM v)) AND NOT EXISTS (SELECT 1 FROM w)
SELECT count() FROM t WHERE NOT (a = 1 OR b = 2) AND (c LIKE 'x%' OR d IS NULL)
SELECT a FROM t HAVING a > 1
SELECT ALL a FROM t
SELECT a FROM t;
SELECT NOT 1 = 2, NOT NOT a, NOT (a), -a + b, -(a).1, (-1).1, (-1)[1], (1).1
SELECT (a + b) AS c, (a AS d), ((a)) FROM t WHERE ((a = 1))
SELECT a FROM t WHERE a = 1 AND b = 2 AND (c = 3 AND d = 4)
SELECT arrayMap(x -> arrayMap(y -> x + y, a), b), a IN [1] || [2], a IN b.1, a IN f(x) AND c
SELECT (a).b, f(x).name, (a, b).1.2, (a.b).c, a[1].`x y`, (SELECT 1 AS q).1
