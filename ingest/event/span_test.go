package event

import "testing"

func TestMonthSpan(t *testing.T) {
	block := newBlock(&tables[dossierEvents])
	if got := block.MonthSpan(); got != 0 {
		t.Errorf("an empty block spans %d months", got)
	}
	day := func(ms int64) int32 { return int32(dayOf(ms)) }
	const december, january = 1764522000000, 1767286800000 // 2025-12-01 and 2026-01-02 in Viet Nam
	for want, days := range map[int][]int32{
		1: {day(december), day(december) + 30}, 2: {day(december), day(january)}, 13: {day(january), day(december) - 330},
	} {
		block.rows, block.columns[block.table.at("registered_on")].i32 = len(days), days
		if got := block.MonthSpan(); got != want {
			t.Errorf("%v span %d months, want %d", days, got, want)
		}
	}
	attempts := newBlock(&tables[authAttempts])
	attempts.rows, attempts.columns[occurredAt].i64 = 2, []int64{december, january}
	if got := attempts.MonthSpan(); got != 2 {
		t.Errorf("attempts span %d months, want 2", got)
	}
	letters := newBlock(&tables[deadLetters])
	letters.rows = 5
	if got := letters.MonthSpan(); got != 1 {
		t.Errorf("dead letters span %d months, want 1", got)
	}
}
