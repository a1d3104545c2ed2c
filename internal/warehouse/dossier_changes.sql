-- The state of dossiers as a pure function of their events, evaluated without (side 0) and with
-- (side 1) the rows that <fresh> marks, among the rows that <which> admits. dossiers.go puts in either
-- the offsets of one range and the dossiers that it touched, or everything for a recomputation.
-- The reading rules are numbered as in docs/reference/reading-rules.md. Times are milliseconds.
-- A step is a distinct (time, status): equal steps are one (contract rule 3).
WITH
    toInt64(10413792000000 - 25200000 - 86400000) AS never, -- 2299-12-31 00:00 in Viet Nam: stays on time
    (SELECT groupArray(ordinal) FROM (SELECT ordinal FROM working_calendar FINAL WHERE version = {calendar:String} ORDER BY day)) AS ordinals,
    (SELECT groupArray(day) FROM (SELECT day FROM working_calendar FINAL WHERE version = {calendar:String} AND working ORDER BY day)) AS working_days,
    (SELECT toInt32(min(day)) FROM working_calendar WHERE version = {calendar:String}) AS calendar_start
SELECT
    registered_on, subject, if(side = 1, 1, -1)::Int8 AS sign, version,
    fromUnixTimestamp64Milli(accepted, 'Asia/Ho_Chi_Minh') AS accepted_at,
    fromUnixTimestamp64Milli(ended, 'Asia/Ho_Chi_Minh') AS ended_at, end_status,
    fromUnixTimestamp64Milli(saved, 'Asia/Ho_Chi_Minh') AS saved_at,
    fromUnixTimestamp64Milli(due, 'Asia/Ho_Chi_Minh') AS due_at,
    fromUnixTimestamp64Milli(overdue, 'Asia/Ho_Chi_Minh') AS overdue_at,
    supplements, supplement_ms,
    province, province63, agency_code, service_id, service_level, channel, portal,
    {topic:String} AS topic, {partition:UInt32} AS partition, toUInt64({last:UInt64} + 1) AS position, latest
FROM
(
    SELECT *,
        -- Rule 4: the first 9; else 10; else the first of 8 and 3; else 7 when accepted before.
        arrayFirst(s -> s.2 = 9, steps).1 AS t9, arrayFirst(s -> s.2 = 10, steps).1 AS t10,
        arrayFirst(s -> s.2 IN (3, 8), steps).1 AS t38, arrayFirst(s -> s.2 = 2, steps).1 AS accepted,
        if(accepted > 0, arrayFirst(s -> s.2 = 7 AND s.1 >= accepted, steps).1, 0) AS t7,
        multiIf(t9 > 0, t9, t10 > 0, t10, t38 > 0, t38, t7) AS ended,
        multiIf(t9 > 0, 9, t10 > 0, 10, t38 > 0, arrayFirst(s -> s.2 IN (3, 8), steps).2, t7 > 0, 7, 0)::UInt8 AS end_status,
        -- Consecutive supplement requests are one; an interval runs to the next step of another status.
        arrayFilter((s, before) -> s.2 = 5 AND before.2 != 5, steps, arrayPushFront(arrayPopBack(steps), (0::Int64, 0::UInt8))) AS requests,
        arrayMap(r -> (r.1, arrayFirst(s -> s.2 != 5 AND (s.1, s.2) > r, steps).1), requests) AS intervals, -- end 0: still waiting
        length(requests)::UInt16 AS supplements,
        arraySum(i -> if(i.2 > 0 AND (ended = 0 OR i.1 < ended), i.2 - i.1, 0), intervals)::Int64 AS supplement_ms,
        -- Rule 5: the due time; else acceptance plus the legal limit in its unit on the working calendar.
        multiIf(due_ms > 0, due_ms,
            accepted = 0 OR legal_limit.1 = 0, 0,
            legal_limit.2 = 'day', accepted + legal_limit.1 * 86400000,
            accepted + (toInt32(working_days[ordinals[toInt32(toDate(fromUnixTimestamp64Milli(accepted, 'Asia/Ho_Chi_Minh'), 'Asia/Ho_Chi_Minh')) - calendar_start + 1]
                + if(legal_limit.2 = 'working_hour', intDiv(legal_limit.1 + 7, 8), legal_limit.1)])
                - toInt32(toDate(fromUnixTimestamp64Milli(accepted, 'Asia/Ho_Chi_Minh'), 'Asia/Ho_Chi_Minh'))) * 86400000)::Int64 AS due,
        -- The last moment at which rule 5 calls the dossier on time. The time that counts, T minus supplement time,
        -- never falls, so there is one such moment: the clock reaching `due` while open, an end later than due, or the second request.
        intervals[1] AS pause,
        arraySort(arrayFilter(t -> t > 0, [t9, if(t9 = 0 OR t10 < t9, t10, 0), if((t9 = 0 OR t38 < t9) AND (t10 = 0 OR t38 < t10), t38, 0),
            if((t9 = 0 OR t7 < t9) AND (t10 = 0 OR t7 < t10) AND (t38 = 0 OR t7 < t38), t7, 0)])) AS ends,
        multiIf(pause.1 = 0 OR pause.1 > due, due, pause.2 = 0, never, due + pause.2 - pause.1) AS crossing,
        multiIf(due = 0, never,
            least(if(supplements > 1, requests[2].1, never),
                if(empty(ends) OR crossing < ends[1], crossing, never),
                arrayMin(arrayPushBack(arrayMap(e -> if(e - if(pause.1 > 0 AND pause.1 < e AND pause.2 > 0, pause.2 - pause.1, 0) > due, e, never),
                    arrayPopFront(ends)), never))))::Int64 AS overdue,
        -- Rule 6: the first 9 or 10 of an online dossier, unless a 3, 7 or 8 came before it.
        arrayFirst(s -> s.2 IN (9, 10), steps) AS done,
        if(channel = 'online' AND done.1 > 0 AND NOT arrayExists(s -> s.2 IN (3, 7, 8) AND s < done, steps), done.1, 0)::Int64 AS saved
    FROM
    (
        SELECT
            registered_on, subject, side,
            uniqExact(source, event_id)::UInt32 AS version,
            max(occurred_at) AS latest,
            arraySort(groupUniqArrayIf((ms, status), status > 0)) AS steps,
            -- Rule 2: from the acceptance event; what it lacks, from the earliest event that has it.
            argMinIf((dossier.province, dossier.province63), (ms, status, event_id), status = 2) AS place_a,
            argMinIf((dossier.province, dossier.province63), (ms, status, event_id), dossier.province != '') AS place_e,
            if(place_a.1 != '', place_a, place_e) AS place, place.1 AS province, place.2 AS province63,
            argMinIf((dossier.agency_code, dossier.service_id, dossier.service_level, dossier.channel, dossier.portal, due_event_ms, limit_event), (ms, status, event_id), status = 2) AS at_acceptance,
            if(at_acceptance.1 != '', at_acceptance.1, argMinIf(dossier.agency_code, (ms, status, event_id), dossier.agency_code != '')) AS agency_code,
            if(at_acceptance.2 != '', at_acceptance.2, argMinIf(dossier.service_id, (ms, status, event_id), dossier.service_id != '')) AS service_id,
            if(at_acceptance.3 != 'unknown', at_acceptance.3, argMinIf(dossier.service_level, (ms, status, event_id), dossier.service_level != 'unknown')) AS service_level,
            if(at_acceptance.4 != 'unknown', at_acceptance.4, argMinIf(dossier.channel, (ms, status, event_id), dossier.channel != 'unknown')) AS channel_any,
            if(channel_any = 'unknown', 'direct', channel_any) AS channel,
            if(at_acceptance.5 != 'unknown', at_acceptance.5, argMinIf(dossier.portal, (ms, status, event_id), dossier.portal != 'unknown')) AS portal,
            if(at_acceptance.6 > 0, at_acceptance.6, argMinIf(due_event_ms, (ms, status, event_id), due_event_ms > 0)) AS due_ms,
            if(at_acceptance.7.1 > 0, at_acceptance.7, argMinIf(limit_event, (ms, status, event_id), limit_event.1 > 0)) AS legal_limit
        FROM
        (
            SELECT *, toUnixTimestamp64Milli(occurred_at) AS ms, toUnixTimestamp64Milli(due_at) AS due_event_ms,
                (toInt64(statutory_limit), toString(limit_unit)) AS limit_event,
                <fresh> AS fresh
            FROM dossier_events
            WHERE <which>
        ) AS dossier
        ARRAY JOIN if(fresh, [1::UInt8], [0::UInt8, 1::UInt8]) AS side
        GROUP BY registered_on, subject, side
    )
)
