package event

// A number in a field that the contract does not know is judged by the names that lead to it: numbers of nine and twelve
// digits are amounts, counts and keys far more often than somebody's identity, and a number says nothing of itself. A name
// is that of a person's number when it is made of nothing but the words below and a strong one is among them: cccd,
// soDinhDanh, "số điện thoại", applicant_phone and citizen_id are; phone_users, amount and citizen_count are not.
// A name of the other words alone, such as number, takes what is around it: {"cccd":{"number":…}}.

// strongWords name a person's number: that of an identity card, an identity, a phone.
var strongWords = []string{
	"cccd", "cmnd", "cmtnd", "cmt", "cancuoc", "chungminh", "dinhdanh", "sdt", "dtdd", "dienthoai", "sodidong", "msisdn",
	"phone", "phones", "telephone", "cellphone", "tel", "mobileno", "mobilenum", "identityno", "identitynum", "identitycard", "identityid",
	"identificationno", "identificationnum", "idno", "idnum", "idcard", "nationalid", "nationalno", "personalid", "personalno", "personalnum", "personid", "citizenid", "citizenno", "citizencard",
}

// weakWords may stand beside them.
var weakWords = []string{
	"so", "ma", "the", "giay", "to", "cua", "cu", "moi", "nguoi", "nop", "don", "chu", "chuho", "dan", "congdan", "ca", "canhan", "nhandan", "thu",
	"khachhang", "lien", "lienhe", "cha", "me", "vo", "chong", "con", "di", "didong", "nharieng", "number", "numbers", "num", "no", "ber", "bers", "id", "card",
	"code", "value", "raw", "of", "new", "old", "citizen", "person", "personal", "national", "identity", "identification", "applicant", "owner", "holder",
	"subject", "user", "customer", "client", "contact", "home", "work", "mobile", "father", "mother", "parent", "spouse", "child",
	"representative", "sender", "receiver", "recipient", "caller",
}

// markedLetters are the letters that fold to each plain one.
var markedLetters = map[byte]string{
	'a': "àáảãạăằắẳẵặâầấẩẫậÀÁẢÃẠĂẰẮẲẴẶÂẦẤẨẪẬ", 'd': "đĐ", 'e': "èéẻẽẹêềếểễệÈÉẺẼẸÊỀẾỂỄỆ", 'i': "ìíỉĩịÌÍỈĨỊ",
	'o': "òóỏõọôồốổỗộơờớởỡợÒÓỎÕỌÔỒỐỔỖỘƠỜỚỞỠỢ", 'u': "ùúủũụưừứửữựÙÚỦŨỤƯỪỨỬỮỰ", 'y': "ỳýỷỹỵỲÝỶỸỴ",
}

// The bounds of what may be somebody's number, in digits: an identity or phone number as a JSON number has lost its
// leading zeros.
const (
	fewestDigits = 8
	mostDigits   = 12
)

// What is looked at is bounded, since there may be thousands of numbers in a record: so many names, and letters of them.
const (
	maxNames   = 3
	maxLetters = 48
)

type word struct {
	text   string
	strong bool
}

// vocabulary knows the names of persons' numbers.
type vocabulary struct {
	words [26][]word // by first letter
	plain map[rune]byte
}

func newVocabulary() *vocabulary {
	v := &vocabulary{plain: make(map[rune]byte)}
	for _, list := range []struct {
		texts  []string
		strong bool
	}{{strongWords, true}, {weakWords, false}} {
		for _, text := range list.texts {
			v.words[text[0]-'a'] = append(v.words[text[0]-'a'], word{text, list.strong})
		}
	}
	for plain, marked := range markedLetters {
		for _, r := range marked {
			v.plain[r] = plain
		}
	}
	return v
}

// fold is the plain small letter of a letter; 0 of anything else, marks that stand alone among it.
func (v *vocabulary) fold(r rune) byte {
	switch {
	case 'a' <= r && r <= 'z':
		return byte(r)
	case 'A' <= r && r <= 'Z':
		return byte(r) | 0x20
	}
	return v.plain[r]
}

// isPersonal tells whether a number at the end of this path of names, the outermost first, is somebody's.
func (v *vocabulary) isPersonal(path [][]byte, number []byte) bool {
	return mayBePersonal(number) && v.namesPerson(path)
}

// namesPerson looks at the last name, and at the two around it as long as there are only weak words.
func (v *vocabulary) namesPerson(path [][]byte) bool {
	// The letters are at the end of the array. weak and strong say of each place whether what begins there is made of words,
	// and whether a strong one is among them.
	var letters [maxLetters]byte
	var weak, strong [maxLetters + 1]bool
	begin := maxLetters
	weak[maxLetters] = true
	for i := len(path) - 1; i >= max(0, len(path)-maxNames); i-- {
		var own [maxLetters]byte
		n := 0
		for _, r := range string(path[i]) {
			if c := v.fold(r); c != 0 {
				if n == begin {
					return false
				}
				own[n] = c
				n++
			}
		}
		copy(letters[begin-n:begin], own[:n])
		for end := begin - n; begin > end; {
			begin--
			for _, w := range v.words[letters[begin]-'a'] {
				after := begin + len(w.text)
				if after > maxLetters || string(letters[begin:after]) != w.text {
					continue
				}
				weak[begin] = weak[begin] || weak[after] && !w.strong
				strong[begin] = strong[begin] || strong[after] || weak[after] && w.strong
			}
		}
		if strong[begin] || !weak[begin] {
			return strong[begin]
		}
	}
	return false
}

// mayBePersonal tells whether a JSON number has as many digits as somebody's number, however it is written.
func mayBePersonal(number []byte) bool {
	digits := 0
	for _, c := range number {
		if c == '-' || c|0x20 == 'e' {
			break
		}
		if c != '.' && (c != '0' || digits > 0) {
			digits++
		}
	}
	return digits >= fewestDigits && digits <= mostDigits
}
