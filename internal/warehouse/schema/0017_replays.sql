-- What became of a dead letter that was sent again has to be known as long as the letter can be sent again: that is 24
-- months, and up to a month more, since ClickHouse drops dead_letters by whole months. A row here is younger than its
-- letter, so it outlives the letter by two months at least.

ALTER TABLE dead_letter_replays MODIFY TTL toDateTime(received_at) + INTERVAL 27 MONTH;
ALTER TABLE dead_letter_replays MODIFY COMMENT 'What became of dead letters that were sent again; kept 27 months, longer than the letters';
