package kpi

// The words of the handbook, for what the definitions name by codes.

// family is a chapter of the handbook: the KPIs over some sources.
type family struct {
	id      string
	name    Text
	sources []string
}

var families = []family{
	{"dossiers", Text{"Hồ sơ", "Dossiers"}, []string{"dossier_days"}},
	{"deadlines", Text{"Thời hạn giải quyết", "Deadlines"}, []string{"dossier_deadlines"}},
	{"savings", Text{"Tiết kiệm", "Savings"}, []string{"dossier_savings"}},
	{"services", Text{"Dịch vụ công, thủ tục", "Services and procedures"}, []string{"service_catalogue"}},
	{"petitions", Text{"Phản ánh, kiến nghị", "Petitions"}, []string{"petitions"}},
	{"authentication", Text{"Xác thực điện tử", "Authentication"}, []string{"auth_attempts", "auth_latency"}},
	{"accounts", Text{"Tài khoản định danh, ví giấy tờ", "Accounts and wallet"}, []string{"eid"}},
	{"data", Text{"Dữ liệu", "Data"}, []string{"data_queries", "data_quality", "source_activity"}},
	{"programme", Text{"Triển khai Đề án 06", "Programme"}, []string{"tasks", "capabilities"}},
	{"official", Text{"Số liệu công bố chính thức", "Official reports"}, []string{"official_reports"}},
	{"score", Text{"Điểm tổng hợp", "Score"}, []string{formulaSource}},
}

// sourceTerm says what the rows of a source are, and its measures.
type sourceTerm struct {
	rows     Text
	measures map[string]Text
}

var sourceTerms = map[string]sourceTerm{
	"dossier_days": {Text{"hồ sơ, theo ngày được tiếp nhận lần đầu (trạng thái 2)", "dossiers, by the day on which they were first accepted (status 2)"}, map[string]Text{
		"dossiers":     {"số hồ sơ được tiếp nhận", "dossiers accepted"},
		"completed":    {"số hồ sơ được tiếp nhận đã xử lý xong hoặc đã trả kết quả (trạng thái 9, 10)", "dossiers accepted that were completed or had their result returned (status 9 or 10)"},
		"supplemented": {"số hồ sơ được tiếp nhận đã bị yêu cầu bổ sung (trạng thái 5)", "dossiers accepted that were asked for a supplement (status 5)"},
		"handled":      {"số hồ sơ được tiếp nhận kết thúc bằng trạng thái 9 hoặc 10", "dossiers accepted that ended with status 9 or 10"},
		"working_days": {"số ngày làm việc đã bắt đầu từ khi tiếp nhận đến khi kết thúc, không kể thời gian chờ bổ sung, của các hồ sơ kết thúc bằng trạng thái 9 hoặc 10",
			"working days begun from acceptance to the end, without supplement time, of dossiers that ended with status 9 or 10"},
		"with_fee":    {"số hồ sơ được tiếp nhận có khoản thu khác 0", "dossiers accepted with a fee other than 0"},
		"paid_online": {"số hồ sơ được tiếp nhận có khoản thu khác 0 và đã thanh toán trực tuyến", "dossiers accepted with a fee other than 0 that was paid online"},
		"written":     {"số hồ sơ được tiếp nhận đã hoàn thành, trừ hồ sơ không trả kết quả bằng văn bản", "dossiers accepted and completed, but those without a written result"},
		"e_result":    {"số hồ sơ được tiếp nhận đã hoàn thành, phải trả kết quả bằng văn bản và có tệp kết quả điện tử", "dossiers accepted and completed that owe a written result and have an electronic file of it"},
		"digitised":   {"số hồ sơ được tiếp nhận có thành phần có tệp và có kết quả điện tử", "dossiers accepted with a component that has a file, and an electronic result"},
		"reused":      {"số hồ sơ được tiếp nhận có thành phần được sử dụng lại", "dossiers accepted with a component that was reused"},
		"from_store":  {"số hồ sơ được tiếp nhận có thành phần lấy từ kho dữ liệu quốc gia", "dossiers accepted with a component from the national data store"},
		"population": {"số hồ sơ được tiếp nhận mà người nộp được xác thực qua VNeID hoặc có thành phần từ Cơ sở dữ liệu quốc gia về dân cư",
			"dossiers accepted whose applicant was authenticated through VNeID, or with a component from the population database"},
		"with_result": {"số hồ sơ được tiếp nhận có tệp kết quả điện tử hoặc không phải trả kết quả bằng văn bản", "dossiers accepted with an electronic file of the result, or without a written result to be given"},
		"synced":      {"số hồ sơ được tiếp nhận đã đồng bộ đúng hạn và chưa lần nào chậm", "dossiers accepted that were synchronised in time and never late"},
		"sync_told":   {"số hồ sơ được tiếp nhận có lần đồng bộ, đúng hạn hoặc chậm", "dossiers accepted with a synchronisation, in time or late"},
		"documented":  {"số hồ sơ được tiếp nhận có sự kiện về giấy tờ", "dossiers accepted of whose documents anything was said"},
		"population_told": {"số hồ sơ được tiếp nhận có xác thực qua VNeID, dữ liệu dân cư hoặc sự kiện về giấy tờ (hồ sơ có nhiều thứ được tính nhiều lần)",
			"dossiers accepted with an authentication through VNeID, population data, or anything said of their documents (counted once for each)"},
	}},
	"dossier_deadlines": {Text{"hồ sơ đã tiếp nhận có hạn trả kết quả, theo ngày tiếp nhận", "accepted dossiers with a due time, by the day of acceptance"}, map[string]Text{
		"with_due_time":        {"số hồ sơ có hạn trả kết quả", "dossiers with a due time"},
		"on_time":              {"số hồ sơ kết thúc đúng hạn hoặc còn trong hạn, trừ thời gian chờ bổ sung", "dossiers that ended in time or are still within their limit, supplement time taken off"},
		"open_late":            {"số hồ sơ chưa kết thúc và đã quá hạn", "dossiers that have not ended and are overdue"},
		"on_time_not_disliked": {"số hồ sơ trong hạn và không bị đánh giá không hài lòng", "dossiers that are on time and without a dislike"},
	}},
	"dossier_savings": {Text{"hồ sơ nộp trực tuyến đã hoàn thành, theo ngày hoàn thành (trạng thái 9 hoặc 10 đầu tiên)", "online dossiers that were completed, by the day of completion (the first status 9 or 10)"}, map[string]Text{
		"dossiers":   {"số hồ sơ hoàn thành", "dossiers completed"},
		"saving_vnd": {"số tiền tiết kiệm: số hồ sơ nhân với hệ số của dịch vụ có hiệu lực vào ngày hoàn thành", "VND saved: dossiers times the coefficient of their service in force on the day of completion"},
	}},
	"service_catalogue": {Text{"dịch vụ, thủ tục theo mục gần nhất trong danh mục", "services and procedures, by their last entry in the catalogue"}, map[string]Text{
		"services": {"số dịch vụ, thủ tục", "services and procedures"},
	}},
	"petitions": {Text{"phản ánh, kiến nghị, theo thời điểm tiếp nhận", "petitions, by the time of receipt"}, map[string]Text{
		"petitions": {"số phản ánh, kiến nghị", "petitions"},
		"on_time":   {"số phản ánh, kiến nghị xử lý đúng hạn hoặc còn trong hạn", "petitions handled on time or still within their limit"},
		"satisfied": {"số phản ánh, kiến nghị không quá hạn và không bị đánh giá không hài lòng", "petitions that are neither overdue nor disliked"},
	}},
	"auth_attempts": {Text{"lượt xác thực điện tử, theo thời điểm", "attempts at electronic authentication, by time"}, map[string]Text{
		"attempts": {"số lượt xác thực", "attempts"},
	}},
	"auth_latency": {Text{"lượt xác thực điện tử có đo thời gian, theo thời điểm và bậc của biểu đồ tần suất", "attempts at electronic authentication with a measured time, by time and step of the histogram"}, map[string]Text{
		"attempts": {"số lượt xác thực có đo thời gian", "attempts with a measured time"},
	}},
	"eid": {Text{"sự kiện về tài khoản định danh điện tử và giấy tờ trong ví VNeID, theo thời điểm", "events of electronic-identity accounts and of documents in the VNeID wallet, by time"}, map[string]Text{
		"events":          {"số sự kiện", "events"},
		"accounts_in_use": {"số lượt kích hoạt trừ số lượt hủy kích hoạt", "activations less deactivations"},
	}},
	"data_queries": {Text{"lượt tra cứu, xác thực, làm sạch, đồng bộ với Cơ sở dữ liệu quốc gia về dân cư, theo thời điểm", "queries to the National Population Database, by time"}, map[string]Text{
		"queries": {"số lượt", "queries"},
	}},
	"data_quality": {Text{"báo cáo gần nhất trong kỳ của từng quy tắc chất lượng dữ liệu", "the last report of each data-quality rule in the period"}, map[string]Text{
		"passing":   {"số bản ghi đạt, nhân trọng số của quy tắc", "records that pass, times the weight of the rule"},
		"evaluated": {"số bản ghi được kiểm tra, nhân trọng số của quy tắc", "records evaluated, times the weight of the rule"},
	}},
	"source_activity": {Text{"sự kiện mới nhất của từng nguồn", "the newest event of each source"}, nil},
	"tasks": {Text{"nhiệm vụ theo trạng thái gần nhất, tính vào kỳ đến hạn", "tasks by their last status, in the period that they are due in"}, map[string]Text{
		"tasks": {"số nhiệm vụ", "tasks"},
	}},
	"capabilities": {Text{"năng lực của các tổ chức (IOC, nền tảng, kết nối, trung tâm dữ liệu) theo trạng thái gần nhất", "what organisations have (operations centres, platforms, connections, data centres), by its last state"}, map[string]Text{
		"organisations": {"số tổ chức", "organisations"},
		"provinces":     {"số tỉnh, thành phố", "provinces"},
		"all_provinces": {"tổng số tỉnh, thành phố vào ngày đó (63, từ 01/07/2025 là 34)", "all provinces of that date (63, from 2025-07-01 on 34)"},
	}},
	"official_reports": {Text{"báo cáo chính thức (`counter.report`) gần nhất của chỉ số", "the newest official report (`counter.report`) of the metric"}, nil},
	formulaSource:      {Text{"giá trị của các chỉ số khác", "the values of other KPIs"}, nil},
}

// dimensionTerms are the names of the dimensions.
var dimensionTerms = map[string]Text{
	"province": {"tỉnh, thành phố", "province"}, "agency": {"cơ quan", "agency"}, "service": {"dịch vụ", "service"}, "procedure": {"thủ tục", "procedure"},
	"channel": {"kênh nộp", "channel"}, "portal": {"cổng tiếp nhận", "portal"}, levelCodes: {"mức cung cấp", "level of the service"},
	eligibleCodes: {"đủ điều kiện toàn trình", "eligible for the full process"}, listCodes: {"danh sách", "list"}, feeCodes: {"có phí, lệ phí", "with a fee"},
	usedOnlineCodes: {"có hồ sơ trực tuyến trong kỳ", "with online dossiers in the period"}, feeSeenCodes: {"có hồ sơ mang khoản thu trong kỳ", "with dossiers that have a fee in the period"},
	paidSeenCodes: {"có hồ sơ đã thanh toán trực tuyến trong kỳ", "with dossiers paid online in the period"},
	"outcome":     {"kết quả", "outcome"}, "relying_party": {"bên sử dụng", "relying party"}, "assurance_level": {"mức bảo đảm", "assurance level"},
	"type": {"loại sự kiện", "type of event"}, "action": {"thao tác với tài khoản", "action on the account"}, "eid_level": {"mức tài khoản", "level of the account"},
	"kind": {"loại", "kind"}, "document_action": {"thao tác với giấy tờ", "action on the document"},
	"query_kind": {"loại truy vấn", "kind of query"}, "consumer_agency": {"cơ quan khai thác", "agency that asks"},
	"source_document": {"văn bản giao", "document that sets the task"}, "status": {"trạng thái", "status"}, "org_kind": {"loại tổ chức", "kind of organisation"},
	"state": {"trạng thái", "state"}, "class": {"phân loại", "class"}, "database": {"cơ sở dữ liệu", "database"}, "criterion": {"tiêu chí", "criterion"},
	"field": {"trường", "field"}, "source": {"nguồn", "source"},
}

// yesTerms say that the code of a dimension is yes.
var yesTerms = map[string]Text{
	eligibleCodes:   {"thủ tục đủ điều kiện cung cấp toàn trình", "the procedure can be offered as a full process"},
	feeCodes:        {"có phí, lệ phí", "there is a fee"},
	usedOnlineCodes: {"có hồ sơ nộp trực tuyến trong kỳ", "dossiers of the period came online"},
	feeSeenCodes:    {"có hồ sơ mang khoản thu khác 0 trong kỳ", "dossiers of the period have a fee other than 0"},
	paidSeenCodes:   {"có hồ sơ đã thanh toán trực tuyến trong kỳ", "dossiers of the period were paid online"},
}

var kindTerms = map[Kind]Text{
	KindRatio:      {"tỷ lệ: tử số chia cho mẫu số; không có giá trị khi mẫu số bằng 0", "ratio: numerator by denominator; no value where the denominator is 0"},
	KindCount:      {"số đếm: tử số", "count: the numerator"},
	KindSum:        {"tổng: tử số", "sum: the numerator"},
	KindQuantile:   {"phân vị: cận mà một tỷ lệ cho trước của các số đo không vượt quá, từ biểu đồ tần suất", "quantile: the bound that a given share of what was measured does not exceed, from a histogram"},
	KindAge:        {"tuổi: số giây từ sự kiện mới nhất đến hiện tại", "age: seconds from the newest event to now"},
	KindCumulative: {"lũy kế: số công bố chính thức gần nhất cộng số đếm được kể từ sau ngày công bố; có mẫu số thì là tỷ lệ của hai số như vậy", "cumulative: the newest official figure and what was counted since its date; with a denominator a ratio of two such numbers"},
	KindFormula:    {"công thức: điểm theo giá trị của các chỉ số khác, theo phiên bản có hiệu lực", "formula: points for the values of other KPIs, by the version in force"},
	KindReported:   {"công bố: số công bố chính thức gần nhất; không đếm sự kiện nào", "reported: the newest official figure; nothing is counted"},
}

var unitTerms = map[string]Text{
	"ratio": {"tỷ lệ (0 đến 1, hiển thị bằng %)", "ratio (0 to 1, shown in %)"}, "count": {"số lượng", "count"}, "vnd": {"đồng", "VND"},
	"ms": {"mili giây", "milliseconds"}, "s": {"giây", "seconds"}, "points": {"điểm", "points"}, "working_day": {"ngày làm việc", "working days"},
}

var periodTerms = map[string]Text{
	PeriodToday: {"hôm nay", "today"}, Period7d: {"hôm nay và 6 ngày trước", "today and the 6 days before"}, PeriodMonth: {"từ đầu tháng", "the month so far"},
	PeriodQuarter: {"từ đầu quý", "the quarter so far"}, PeriodYTD: {"từ đầu năm", "the year so far"},
	Period365d: {"hôm nay và 364 ngày trước", "today and the 364 days before"}, PeriodAll: {"từ 01/01/2022", "since 2022-01-01"},
}

var betterTerms = map[string]Text{
	"higher": {"cao hơn là tốt hơn", "higher is better"}, "lower": {"thấp hơn là tốt hơn", "lower is better"}, "neutral": {"không đánh giá", "neither"},
}

var basisTerms = map[Basis]Text{
	BasisFound: {"có trong văn bản, tài liệu nêu trên", "found in the text named"}, BasisProposal: {"đề xuất của dự án, không có văn bản nào quy định", "a proposal of this project; no text sets it"},
}
