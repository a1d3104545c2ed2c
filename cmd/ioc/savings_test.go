package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
	"ioc.local/query/kpi"
)

// TestSavingsExplain is the worked example of DA06-03 in both languages, for programs, and on a day without coefficient.
func TestSavingsExplain(t *testing.T) {
	db := enginetest.Start(t)
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Fatal(err)
	}
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, rows := range []string{
		"('2025-11-20', '79', '79', 'DA06-03', '', 0, 1200, 0, 0), ('2025-11-20', '01', '01', 'DA06-03', '', 0, 34, 0, 0)",
		"('1970-01-01', '', '', '', 't', 0, 0, 5000, '2025-11-21 08:15:30')", // up to where it is counted
		"('2022-01-03', '79', '79', 'DA06-03', '', 0, 5, 0, 0)",
	} {
		if err := db.Client.Conn().Exec(t.Context(), "INSERT INTO dossier_savings (day, province, province63, service_id, topic, partition, n, position, latest) VALUES "+rows); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("IOC_CLICKHOUSE_PASSWORD", db.Engine.Password())
	explain := func(args ...string) string {
		t.Helper()
		out, err := execute(t.Context(), append([]string{"savings", "explain", "--clickhouse.addr", db.Engine.Addr(), "--clickhouse.database", db.Database}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	var x kpi.SavingsExplanation
	if err := json.Unmarshal([]byte(explain("--service", "DA06-03", "--day", "2025-11-20", "--output", "json")), &x); err != nil {
		t.Fatal(err)
	}
	if x.Saving != 1234*123_000 || x.Dossiers != 1234 || x.Coefficient == nil || !x.Coefficient.Example || x.Version != data.Coefficients().Version() {
		t.Errorf("for programs it is %+v", x)
	}
	f := func(want string, args ...string) {
		t.Helper()
		want = strings.NewReplacer("VERSION", x.Version, "REVISION", x.Revision, "FILE", x.File, "SOURCE", x.Coefficient.SourceRef).Replace(strings.TrimPrefix(want, "\n"))
		if diff := cmp.Diff(want, explain(args...)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", args, diff)
		}
	}
	f(`
Tiết kiệm của dịch vụ DA06-03 (Đăng ký thường trú), ngày 20/11/2025, cả nước

Hệ số có hiệu lực trong ngày
  Phiên bản bảng hệ số  VERSION
  Tệp                   FILE:4
  Hiệu lực              từ 06/01/2022, chưa có ngày kết thúc
  Nguồn                 SOURCE
  Độ tin cậy            example (ví dụ, không phải số liệu chính thức)

                                Trực tiếp     Trực tuyến
  Thời gian (giờ)               2,5           0,5
  Giá trị một giờ               35.000 đồng   35.000 đồng
  Chi phí thời gian             87.500 đồng   17.500 đồng
  Đi lại                        20.000 đồng   0 đồng
  Giấy tờ                       10.000 đồng   0 đồng
  Phí, lệ phí                   20.000 đồng   10.000 đồng
  Chi phí của người dân         137.500 đồng  27.500 đồng
  Chi phí của cơ quan nhà nước  25.000 đồng   12.000 đồng

Tiết kiệm của một hồ sơ (Thông tư 02/2017/TT-VPCP, Điều 27: lợi ích = tổng chi phí hiện tại − tổng chi phí sau đơn giản hóa)
  Người dân, trực tiếp: 2,5 × 35.000 + 20.000 + 10.000 + 20.000 = 137.500 đồng
  Người dân, trực tuyến: 0,5 × 35.000 + 0 + 0 + 10.000 = 27.500 đồng
  Tiết kiệm: (137.500 + 25.000) − (27.500 + 12.000) = 123.000 đồng

Hồ sơ trực tuyến hoàn thành trong ngày: 1.234
Tiết kiệm trong ngày: 1.234 × 123.000 đồng = 151.782.000 đồng
Dữ liệu đến 00:00:00, ngày 21/11/2025, phiên bản REVISION
`, "--service", "DA06-03", "--day", "2025-11-20")
	english := explain("--service", "DA06-03", "--day", "2025-11-20", "--lang", "en", "--province", "79")
	for _, want := range []string{
		"Saving of service DA06-03 (Permanent residence registration), on 20/11/2025, Ho Chi Minh City (79)", "example (an example, no official figure)",
		"(137,500 + 25,000) − (27,500 + 12,000) = 123,000 VND", "Online dossiers completed on the day: 1,200", "1,200 × 123,000 VND = 147,600,000 VND",
	} {
		if !strings.Contains(english, want) {
			t.Errorf("in English it lacks %q:\n%s", want, english)
		}
	}
	f(`
Tiết kiệm của dịch vụ DA06-03 (Đăng ký thường trú), ngày 03/01/2022, cả nước

Hệ số có hiệu lực trong ngày
  Phiên bản bảng hệ số  VERSION
  Tệp                   FILE
  Không có hệ số nào của dịch vụ có hiệu lực trong ngày này: mỗi hồ sơ được tính tiết kiệm 0 đồng.

Hồ sơ trực tuyến hoàn thành trong ngày: 5
Tiết kiệm trong ngày: 5 × 0 đồng = 0 đồng
Dữ liệu đến 00:00:00, ngày 04/01/2022, phiên bản REVISION
`, "--service", "DA06-03", "--day", "2022-01-03")

	tomorrow := time.Now().In(reference.TimeZone()).AddDate(0, 0, 1).Format(time.DateOnly)
	for want, args := range map[string][]string{
		"--service is missing":          {"--day", "2025-11-20"},
		"--service \"DA06-99\"":         {"--service", "DA06-99", "--day", "2025-11-20"},
		"--day: \"\" is not a date":     {"--service", "DA06-03"},
		"--day: \"20/11/2025\" is not":  {"--service", "DA06-03", "--day", "20/11/2025"},
		"--day must be from":            {"--service", "DA06-03", "--day", tomorrow},
		"--province has no code \"99\"": {"--service", "DA06-03", "--day", "2022-02-01", "--province", "99"},
		"--lang: \"fr\" is neither":     {"--service", "DA06-03", "--day", "2022-02-01", "--lang", "fr"},
		"--output: \"yaml\" is neither": {"--service", "DA06-03", "--day", "2022-02-01", "--output", "yaml"},
	} {
		_, err := execute(t.Context(), append([]string{"savings", "explain", "--clickhouse.addr", db.Engine.Addr(), "--clickhouse.database", db.Database}, args...)...)
		var usage *usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", args, err, want)
		}
	}
}
