package event

import (
	"encoding/hex"
	"testing"
)

// personalIdentifiers are identifiers, and whether they are personal data as a whole.
var personalIdentifiers = map[string]bool{
	"001099012345": true, "012345678": true, "0912345678": true, "+84912345678": true, "84912345678": true, "0084912345678": true,
	"+84 (0)912 345 678": true, "0912.345.678": true, "0912-345-678": true, "(024) 3825 1234": true, "(024) 3825 12345": false, "02438251234": true,
	"+842438251234": true, "01612345678": true, " 001099012345 ": true, "a@b.vn": true, "nguyễn@b.vn": true, "a.b+c@mail.example.com.vn": true,

	"": false, "01930a5e-7c1a-7b52-9a3e-012345678901": false, "9f8e7d6c5b4a39281706f5e4d3c2b1a0": false, "d-001099012345": false, "00109901234": false,
	"0010990123456": false, "1234567890": false, "0612345678": false, "123.456.789": false, "H26.12": false, "000.00.00.H38": false, "1.004222": false,
	"19001234": false, "a@b": false, "@b.vn": false, "x@": false, "@x@b.vn": true, "a@b.c1": false, "a b@c.vn": false, "+": false, "(": false, "+8491234567": false, "q-0001": false,
}

// personalTexts are free texts, and whether any token of them is personal data.
var personalTexts = map[string]bool{
	"CCCD: 001099012345": true, "CMND 012345678, cấp năm 2001": true, "số0912345678": true, "gọi 0912.345.678.": true, "cccd-001099012345": true,
	"<a.nguyen@example.vn>": true, "mail:a@b.vn;c": true, "a@b.vn.": true, "x@@y.vn": false, "id=012345678&x": true, "(+84912345678)": true,
	"tel:+84-912-345-678": true, "001099012345/2024": true, "012345678_": true,

	"": false, "530/TB-VPCP": false, "06/QĐ-TTg ngày 06/01/2022": false, "01930a5e-7c1a-7b52-9a3e-012345678901": false,
	"mã 01930a5e-7c1a-7b52-9a3e-012345678901 đã xong": false, "123.456.789 đồng": false, "57900000": false, "1234567890123": false, "x012345678": false,
	"012345678x": false, "106.660172123": false, "a @ b.vn": false, "hạn 2026-11-21T08:15:30": false, "9f8e7d6c5b4a39281706f5e4d3c2b1a0": false,
}

func TestPersonalData(t *testing.T) {
	for s, want := range personalIdentifiers {
		if got := identifierIsPersonal([]byte(s)); got != want {
			t.Errorf("identifier %q: %v", s, got)
		}
		if got := oracleIdentifierIsPersonal(s); got != want {
			t.Errorf("identifier %q: the oracle says %v", s, got)
		}
	}
	for s, want := range personalTexts {
		if got := textHasPersonalData([]byte(s)); got != want {
			t.Errorf("text %q: %v", s, got)
		}
		if got := oracleTextIsPersonal(s); got != want {
			t.Errorf("text %q: the oracle says %v", s, got)
		}
	}
	if payloadHasPersonalData([]byte("d-001099012345")) || !payloadHasPersonalData([]byte("x 001099012345 y")) {
		t.Error("payloads are looked at between hyphens, or not between spaces")
	}
}

// The first vectors of the reference implementation of SipHash-2-4 with 128 bits.
func TestIdentityHash(t *testing.T) {
	h := IdentityHash{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	for n, want := range []string{"a3817f04ba25a8e66df67214c7550293", "da87c1d86b99af44347659119b22fc45", "8177228da4a45dc7fca38bdef60affe4"} {
		input := make([]byte, n)
		for i := range input {
			input[i] = byte(i)
		}
		id := h.sum(input)
		if got := hex.EncodeToString(id[:]); got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
	}
	d := newTestDecoder(t)
	same := d.Identify([]byte("/npsp/H26"), []byte("1"))
	if same != d.Identify([]byte("/npsp/H26"), []byte("1")) {
		t.Error("one event has two identities")
	}
	if same == d.Identify([]byte("/npsp/H2"), []byte("61")) || same == d.Identify([]byte("/npsp/H26"), []byte("2")) {
		t.Error("two events have one identity")
	}
	if one, other := NewIdentityHash(), NewIdentityHash(); one == other {
		t.Error("two keys are equal")
	}
}
