// Short names of the 25 essential services: what fits a row of the wall. The full names are those of the API.
import { lang } from './text'

const names: Record<string, readonly [string, string]> = {
  'DA06-01': ['Xác nhận số CMND', 'Confirm old ID number'],
  'DA06-02': ['Cấp, đổi thẻ căn cước', 'Citizen ID card'],
  'DA06-03': ['Đăng ký thường trú', 'Permanent residence'],
  'DA06-04': ['Đăng ký tạm trú', 'Temporary residence'],
  'DA06-05': ['Khai báo tạm vắng', 'Temporary absence'],
  'DA06-06': ['Thông báo lưu trú', 'Notice of stay'],
  'DA06-07': ['Đăng ký mô tô, xe máy', 'Motorcycle plates'],
  'DA06-08': ['Nộp phạt giao thông', 'Traffic fines'],
  'DA06-09': ['Đăng ký khai sinh', 'Birth registration'],
  'DA06-10': ['Đăng ký khai tử', 'Death registration'],
  'DA06-11': ['Đăng ký kết hôn', 'Marriage registration'],
  'DA06-12': ['Cấp hộ chiếu phổ thông', 'Ordinary passport'],
  'DA06-13': ['Làm con dấu mới', 'New seal'],
  'DA06-14': ['Dấu thu nhỏ, nổi, xi', 'Small, embossed seals'],
  'DA06-15': ['Liên thông khai sinh', 'Bundled birth'],
  'DA06-16': ['Liên thông khai tử', 'Bundled death'],
  'DA06-17': ['Gia hạn BHYT hộ gia đình', 'Household insurance'],
  'DA06-18': ['Đăng ký thuế', 'Tax registration'],
  'DA06-19': ['Biến động đất đai', 'Change of land title'],
  'DA06-20': ['Cấp đổi giấy phép lái xe', 'Driving licence'],
  'DA06-21': ['Thi tốt nghiệp THPT', 'Graduation exam'],
  'DA06-22': ['Cấp Phiếu lý lịch tư pháp', 'Judicial record'],
  'DA06-23': ['Trợ cấp thất nghiệp', 'Unemployment benefit'],
  'DA06-24': ['Cấp điện mới', 'New electricity supply'],
  'DA06-25': ['Đổi chủ hợp đồng điện', 'Electricity contract'],
}

/** The short name of a service; of one that it does not know, its id. */
export const serviceName = (id: string): string => names[id]?.[lang === 'vi' ? 0 : 1] ?? id
