package warehouse

// View is an object that analysts may read.
type View struct {
	// Name of the view or table.
	Name string
	// Province is the column that its row policies filter on; empty for reference data, which everybody sees.
	Province string
	// NationalRows says that rows without a province are for every scope (registers), and not for the national scope
	// only (facts).
	NationalRows bool
	// Sensitive is a Bool column, where NationalRows is set: of the rows without a province, those that it marks are for the
	// national scope only. Empty: none are.
	Sensitive string
}

// AnalystViews are all objects that a scope's user may read. Whoever adds a view for analysts adds it
// here: what is not listed has no grant.
func AnalystViews() []View {
	return []View{
		{Name: "dossiers", Province: "province"},
		{Name: "authentications", Province: "province"},
		{Name: "queries", Province: "province"},
		{Name: "accounts", Province: "province"},
		{Name: "wallet_documents", Province: "province"},
		{Name: "service_catalogue", Province: "province", NationalRows: true},
		{Name: "tasks", Province: "province", NationalRows: true},
		{Name: "capabilities", Province: "province", NationalRows: true},
		{Name: "quality_reports", Province: "province", NationalRows: true},
		{Name: "petitions", Province: "province", NationalRows: true},
		{Name: "reports", Province: "province", NationalRows: true},
		{Name: "feeds", Province: "province"},
		{Name: "published_values", Province: "province", NationalRows: true, Sensitive: "sensitive"},
		{Name: "provinces"}, {Name: "services"}, {Name: "savings_coefficients"}, {Name: "working_calendar"},
	}
}
