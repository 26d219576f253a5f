//! Detection of a message's language.
//!
//! `Content-Language` (RFC 3282) names it. Otherwise the script of the text
//! distinguishes Japanese from Russian, but not English from German; then the
//! language in the settings is used.

use waxseal_policy::Message;

/// Bytes of the text that are examined: enough to recognize a script, and cheap
/// even if the text must be decoded.
const SAMPLE: u32 = 1024;

/// The script of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    Latin,
    Kana,
    Han,
    Hangul,
    Cyrillic,
    Greek,
    Hebrew,
    Arabic,
    Thai,
    Devanagari,
}

/// The index in `languages` of the message's language; `None` if it is not
/// identified.
pub(crate) fn of_message(message: &Message, languages: &[&str]) -> Option<usize> {
    for value in message.header("Content-Language") {
        for tag in value.split(',') {
            if let Some(index) = best(tag.trim(), languages) {
                return Some(index);
            }
        }
    }
    let script = script_of(&message.text(SAMPLE)?)?;
    let mut fitting = (0..languages.len()).filter(|&index| script_for(languages[index]) == script);
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// The index of the language that matches `tag`: the same tag, or the same
/// primary subtag (`ja` for `ja-JP`, RFC 4647).
pub(crate) fn best(tag: &str, languages: &[&str]) -> Option<usize> {
    let exact = languages
        .iter()
        .position(|language| language.eq_ignore_ascii_case(tag));
    exact.or_else(|| {
        languages
            .iter()
            .position(|language| primary(language).eq_ignore_ascii_case(primary(tag)))
    })
}

fn primary(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or(tag)
}

fn script_for(language: &str) -> Script {
    match primary(language).to_ascii_lowercase().as_str() {
        "ja" => Script::Kana,
        "zh" => Script::Han,
        "ko" => Script::Hangul,
        "ru" | "uk" | "bg" | "be" | "mk" | "kk" => Script::Cyrillic,
        "el" => Script::Greek,
        "he" | "yi" => Script::Hebrew,
        "ar" | "fa" | "ur" => Script::Arabic,
        "th" => Script::Thai,
        "hi" | "mr" | "ne" => Script::Devanagari,
        _ => Script::Latin,
    }
}

/// The script of most letters. Han characters count as kana if both occur,
/// because only Japanese mixes the two. A syllabic or ideographic character has
/// the weight of three letters.
fn script_of(text: &str) -> Option<Script> {
    // Most mail. Examining a kilobyte letter by letter would be two thirds of a
    // decision's computation.
    if text.is_ascii() {
        let letter = text.bytes().any(|byte| byte.is_ascii_alphabetic());
        return letter.then_some(Script::Latin);
    }
    const ALL: [Script; 10] = [
        Script::Latin,
        Script::Kana,
        Script::Han,
        Script::Hangul,
        Script::Cyrillic,
        Script::Greek,
        Script::Hebrew,
        Script::Arabic,
        Script::Thai,
        Script::Devanagari,
    ];
    let mut weights = [0u32; ALL.len()];
    for script in text.chars().filter_map(script_of_char) {
        weights[script as usize] += match script {
            Script::Kana | Script::Han | Script::Hangul => 3,
            _ => 1,
        };
    }
    let (kana, han) = (Script::Kana as usize, Script::Han as usize);
    // A few kana in a Chinese text are loan words; a tenth of the text is grammar.
    if weights[kana] * 10 >= weights[han] && weights[kana] > 0 {
        weights[kana] += std::mem::take(&mut weights[han]);
    }
    let most = *weights.iter().max()?;
    let index = weights.iter().position(|&weight| weight == most)?;
    (most > 0).then_some(ALL[index])
}

fn script_of_char(c: char) -> Option<Script> {
    Some(match c {
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' => Script::Latin,
        '\u{3041}'..='\u{30ff}' | '\u{ff66}'..='\u{ff9d}' => Script::Kana,
        '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' => Script::Han,
        '\u{ac00}'..='\u{d7a3}' | '\u{1100}'..='\u{11ff}' => Script::Hangul,
        '\u{400}'..='\u{52f}' => Script::Cyrillic,
        '\u{370}'..='\u{3ff}' => Script::Greek,
        '\u{590}'..='\u{5ff}' => Script::Hebrew,
        '\u{600}'..='\u{6ff}' => Script::Arabic,
        '\u{e01}'..='\u{e5b}' => Script::Thai,
        '\u{900}'..='\u{97f}' => Script::Devanagari,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(text: &str, languages: &[&str]) -> Option<usize> {
        of_message(&Message::builder().text(text).build(), languages)
    }

    #[test]
    fn the_script_distinguishes_languages() {
        let text = "お世話になっております。Waxseal の件でご連絡いたしました。";
        assert_eq!(detect(text, &["en", "ja"]), Some(1));
        assert_eq!(
            detect("您好，这是关于订单的邮件。", &["ja", "zh", "en"]),
            Some(1)
        );
        assert_eq!(detect("Good morning", &["en", "ja"]), Some(0));
        assert_eq!(detect("Guten Morgen", &["en", "de"]), None);
        assert_eq!(detect("12345", &["en", "ja"]), None);
    }

    #[test]
    fn content_language_overrides_the_script() {
        let message = Message::builder()
            .header("Content-Language", "fr, ja-JP")
            .text("Good morning")
            .build();
        assert_eq!(of_message(&message, &["en", "ja"]), Some(1));
    }

    #[test]
    fn a_region_falls_back_to_its_language() {
        assert_eq!(best("pt-BR", &["en", "pt"]), Some(1));
        assert_eq!(best("pt-BR", &["pt", "pt-br"]), Some(1));
        assert_eq!(best("fr", &["en"]), None);
    }
}
