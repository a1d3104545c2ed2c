package warehouse

// View is an object that analysts may read.
type View struct {
	// Name of the view or table.
	Name string
	// Province is the column that its row policies filter on; empty for reference data, which everybody sees.
	Province string
}

// AnalystViews are all objects that a scope's user may read. Whoever adds a view for analysts adds it
// here: what is not listed has no grant.
func AnalystViews() []View {
	return []View{
		{Name: "dossiers", Province: "province"},
		{Name: "authentications", Province: "province"},
		{Name: "reports", Province: "province"},
		{Name: "provinces"}, {Name: "services"}, {Name: "savings_coefficients"}, {Name: "working_calendar"},
	}
}
