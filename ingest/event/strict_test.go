package event

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// Official figures have bounds since version 3; older ranges are judged as they were.
func TestFiguresHaveBounds(t *testing.T) {
	d := newTestDecoder(t)
	for _, c := range []struct {
		value, denominator string
		field              string // at fault; empty when it is valid
		before             bool   // whether version 2 takes it
	}{
		{"0", "76", "", true},
		{"76", "76", "", true},
		{"49.5", "76", "", true},
		{"9007199254740992", "", "", true},
		{"-0.0", "", "", true},
		{"0.1", "0.1", "", true},
		{"-1", "", "data.value", true},
		{"-0.5", "76", "data.value", true},
		{"1e300", "", "data.value", true},
		{"9.1e15", "", "data.value", true},
		{"49", "0", "data.denominator", true},
		{"0", "0", "data.denominator", true},
		{"0", "-0.0", "data.denominator", true},
		{"49", "1e300", "data.denominator", true},
		{"77", "76", "data.value", true},
		{"76.0000001", "76", "data.value", true},
		{"49", "-76", "data.denominator", false},
		{"9007199254740993", "", "data.value", false},
	} {
		rec := edit(t, "counter.report.json", func(_, data map[string]any) {
			if data["value"] = json.Number(c.value); c.denominator != "" {
				data["denominator"] = json.Number(c.denominator)
			}
		})
		for version := OldestVersion; version <= Version; version++ {
			d.UseVersion(version)
			b := newTestBatch()
			valid := c.field == "" || c.before && version < strictSince
			switch verdict := d.Decode(b, rec, nil); {
			case (verdict == Accepted) != valid:
				t.Errorf("%s of %s in version %d: %v", c.value, c.denominator, version, verdict)
			case !valid && (b.Rejections()[0].Reason != InvalidValue || b.Rejections()[0].Field != c.field):
				t.Errorf("%s of %s in version %d: %s of %s", c.value, c.denominator, version, b.Rejections()[0].Reason, b.Rejections()[0].Field)
			}
		}
	}
}

// personalPaths are members with numbers, and whether the names say that these are somebody's.
var personalPaths = map[string]bool{
	`"cccd":79099012345`: true, `"so_cccd":79099012345`: true, `"soCCCD":1099012345`: true, `"số CCCD":1099012345`: true, `"cccd_number":79099012345`: true,
	`"so_dinh_danh":79099012345`: true, `"Số định danh cá nhân":79099012345`: true, `"ma_dinh_danh":79099012345`: true, `"citizen_id":79099012345`: true,
	`"citizenIdentificationNumber":79099012345`: true, `"identity_number":12345678`: true, `"cmnd":112345678`: true, `"national_id":112345678`: true,
	`"phone":912345678`: true, `"applicant_phone":84912345678`: true, `"phone1":912345678`: true, `"phoneNumbers":[912345678]`: true, `"phones":[912345678]`: true, `"sdt":912345678`: true, `"soDienThoai":912345678`: true,
	`"điện thoại liên hệ":912345678`: true, `"so\u0302_\u0111ie\u0323\u0302n_thoa\u0323i":912345678`: true, `"tel":2438251234`: true,
	`"phone":912345678.0`: true, `"phone":9.12345678e8`: true, `"phone":[1,{"number":912345678}]`: true, `"cccd":{"so":79099012345,"ngay":1}`: true,
	`"citizen":{"id":79099012345}`: true, `"x":{"y":[{"cccd":[[79099012345]]}]}`: true, `"c\u0063cd":79099012345`: true,

	`"amount":123456789`: false, `"so_tien":123456789012`: false, `"total_vnd":100000000`: false, `"code":123456789`: false, `"timestamp":1763700000000`: false,
	`"id":123456789`: false, `"user_id":12345678`: false, `"so":123456789`: false, `"phone_users":57900000`: false, `"citizen_count":57900000`: false,
	`"citizens":57900000`: false, `"mobile":57900000`: false, `"phones_sold":57900000`: false, `"hotel":12345678`: false, `"total":12345678`: false,
	`"phone":{"count":57900000}`: false, `"phone":1234567`: false, `"phone":1763700000000`: false, `"phone":-912345678`: false, `"phone":0.5`: false, `"cccd":true`: false,
	`"":12345678`: false, `"123456":12345678`: false, `"` + strings.Repeat("phone", 13) + `":12345678`: false, `"phone":{"` + strings.Repeat("so", 33) + `":12345678}`: false,
	`"phone":{"value":{"number":12345678}}`: true, `"phone":{"value":{"so":{"number":12345678}}}`: false,
}

func TestNumbersOfPersons(t *testing.T) {
	d, o := newTestDecoder(t), newOracle(t)
	plain := string(compact(t, example(t, "dossier.sync.json")))
	for text, personal := range personalPaths {
		rec := &Record{Value: []byte(strings.Replace(plain, `"data":{`, `"data":{`+text+`,`, 1))}
		b := newTestBatch()
		verdict := d.Decode(b, rec, nil)
		switch {
		case (verdict == Rejected) != personal:
			t.Errorf("%s: %v", text, verdict)
		case personal && (b.Rejections()[0].Reason != PersonalData || b.Rejections()[0].KeepPayload):
			t.Errorf("%s: %+v", text, b.Rejections()[0])
		}
		if _, valid := o.structured(rec.Value); valid == personal {
			t.Errorf("%s: the oracle says valid: %v", text, valid)
		}
		// Whatever the record is rejected for, such a number is kept nowhere; but in an extension nobody looks.
		b = newTestBatch()
		faulty := &Record{Value: bytes.Replace(rec.Value, []byte(`"on_time":true`), []byte(`"on_time":"x"`), 1)}
		if d.Decode(b, faulty, nil); b.Rejections()[0].KeepPayload == personal {
			t.Errorf("%s: of a faulty record the payload is kept: %v", text, !personal)
		}
		extension := &Record{Value: []byte(strings.Replace(plain, `"data":{`, text+`,"data":{`, 1))}
		if verdict := d.Decode(newTestBatch(), extension, nil); verdict != Accepted && !strings.HasPrefix(text, `"id"`) {
			t.Errorf("%s as an extension: %v", text, verdict)
		}
	}
	d.UseVersion(strictSince - 1)
	for text := range personalPaths {
		mustAccept(t, d, newTestBatch(), &Record{Value: []byte(strings.Replace(plain, `"data":{`, `"data":{`+text+`,`, 1))})
	}
}

// Names that take long to look at cost a record no more than a moment.
func BenchmarkNumbersOfPersons(b *testing.B) {
	plain := string(compact(b, example(b, "dossier.sync.json")))
	var members, end strings.Builder
	for range 4 {
		members.WriteString(`"contactpersonnumber":{`)
		end.WriteByte('}')
	}
	for range 4000 { // of weak words alone, so that all names around are looked at
		members.WriteString(`"cu":12345678,`)
	}
	text := `"n":{` + strings.TrimSuffix(members.String(), ",") + end.String() + `},`
	rec := &Record{Value: []byte(strings.Replace(plain, `"data":{`, `"data":{`+text, 1))}
	d, batch := newTestDecoder(b), newTestBatch()
	b.SetBytes(int64(len(rec.Value)))
	for b.Loop() {
		batch.Reset("t", 1, testClock)
		mustAccept(b, d, batch, rec)
	}
}
