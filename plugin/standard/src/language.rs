//! Which language a message is in, as far as it can be told.
//!
//! `Content-Language` (RFC 3282) says so. Where it does not, the script of the
//! text tells Japanese from Russian, but not English from German: then the
//! domain's own language decides.

use waxseal_policy::Message;

/// Bytes of the text looked at: enough to tell a script, and cheap even where
/// the text has to be decoded.
const SAMPLE: u32 = 1024;

/// The writing that a letter belongs to.
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

/// The one of `languages` that the message is in, as an index; none where that
/// cannot be told.
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

/// The language that stands for `tag`: the same, or the same primary subtag
/// (`ja` for `ja-JP`, RFC 4647).
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

/// The script of most letters. Kana count for the Han among them, as no other
/// language than Japanese mixes the two; a syllabic or ideographic character
/// counts for three letters, which is what it stands for.
fn script_of(text: &str) -> Option<Script> {
    // Most mail. Looking at a kilobyte letter by letter would be two thirds of
    // all that a decision computes.
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
    // A stray kana in a Chinese text is a loan; a tenth of it is grammar.
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

    fn told(text: &str, languages: &[&str]) -> Option<usize> {
        of_message(&Message::builder().text(text).build(), languages)
    }

    #[test]
    fn the_script_tells_languages_apart_where_it_can() {
        let text = "お世話になっております。Waxseal の件でご連絡いたしました。";
        assert_eq!(told(text, &["en", "ja"]), Some(1));
        assert_eq!(
            told("您好，这是关于订单的邮件。", &["ja", "zh", "en"]),
            Some(1)
        );
        assert_eq!(told("Good morning", &["en", "ja"]), Some(0));
        assert_eq!(told("Guten Morgen", &["en", "de"]), None);
        assert_eq!(told("12345", &["en", "ja"]), None);
    }

    #[test]
    fn the_message_itself_has_the_first_word() {
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
