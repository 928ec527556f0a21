//! The smallest UEFI program there is: it prints a line, and the machine stands still.
//!
//! For processors that the lab has no distribution's loader for. An image in the format PE (Microsoft's "PE Format"), with a
//! machine's own few instructions.

/// A processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processor {
    /// Of 32 bits.
    Ia32,
    /// ARM of 64 bits.
    Arm64,
}

/// Instructions, with the text behind them: `SystemTable->ConOut->OutputString(ConOut, text)`, then wait for interrupts for
/// ever (UEFI 2.10 sections 4.3 and 12.4).
const IA32: [u8; 30] = [
    0x8b, 0x44, 0x24, 0x08, // mov eax, [esp+8]
    0x8b, 0x40, 0x2c, // mov eax, [eax+44]
    0xe8, 0x00, 0x00, 0x00, 0x00, // call the next
    0x59, // pop ecx
    0x8d, 0x89, 0x12, 0x00, 0x00, 0x00, // lea ecx, [ecx+18]
    0x51, // push ecx
    0x50, // push eax
    0xff, 0x50, 0x04, // call [eax+4]
    0x83, 0xc4, 0x08, // add esp, 8
    0xf4, // hlt
    0xeb, 0xfd, // jmp to it
];
const ARM64: [u32; 6] = [
    0xf940_2020, // ldr x0, [x1, #64]
    0xf940_0402, // ldr x2, [x0, #8]
    0x1000_0081, // adr x1, +16
    0xd63f_0040, // blr x2
    0xd503_207f, // wfi
    0x17ff_ffff, // b to it
];

const HEADERS_LEN: usize = 0x200;
const SECTION_AT: u32 = 0x1000;
const PE_AT: u32 = 64;
/// Tables that an image may have; this has none.
const DIRECTORIES: usize = 6;

/// A program that prints `text` on the console.
#[must_use]
pub fn that_says(processor: Processor, text: &str) -> Vec<u8> {
    let mut section = match processor {
        Processor::Ia32 => IA32.to_vec(),
        Processor::Arm64 => ARM64.iter().flat_map(|word| word.to_le_bytes()).collect(),
    };
    section.extend(text.encode_utf16().chain([0x0d, 0x0a, 0]).flat_map(u16::to_le_bytes));
    section.resize(section.len().next_multiple_of(HEADERS_LEN), 0);
    let section_len = section.len() as u32;

    let mut image = Vec::new();
    image.extend(b"MZ");
    image.resize(PE_AT as usize - 4, 0);
    put(&mut image, [PE_AT]);
    image.extend(b"PE\0\0");
    let optional = optional_header(processor, section_len);
    let machine = match processor {
        Processor::Ia32 => 0x014c_u16,
        Processor::Arm64 => 0xaa64,
    };
    image.extend(machine.to_le_bytes());
    image.extend(1_u16.to_le_bytes());
    put(&mut image, [0; 3]);
    image.extend((optional.len() as u16).to_le_bytes());
    // Executable, without line numbers; it may be loaded anywhere, and needs no fixing for that.
    image.extend(0x0006_u16.to_le_bytes());
    image.extend(optional);
    image.extend(b".text\0\0\0");
    // Its length and place in memory, those in the file, then nothing, and that it is code.
    put(&mut image, [section_len, SECTION_AT, section_len, HEADERS_LEN as u32, 0, 0, 0, 0x6000_0020]);
    image.resize(HEADERS_LEN, 0);
    image.extend(section);
    image
}

fn optional_header(processor: Processor, section_len: u32) -> Vec<u8> {
    let is_wide = processor == Processor::Arm64;
    let mut header = Vec::new();
    header.extend(if is_wide { 0x020b_u16 } else { 0x010b }.to_le_bytes());
    header.extend([0, 0]);
    // Length of code and data, where it begins, where code is.
    put(&mut header, [section_len, 0, 0, SECTION_AT, SECTION_AT]);
    // Where data is and where all wants to be, in the narrow form; the latter alone and wide in the other.
    put(&mut header, [0, 0]);
    // Alignment in memory and in the file, versions, length in memory and of the headers, checksum.
    put(&mut header, [SECTION_AT, HEADERS_LEN as u32, 0, 0, 0, 0]);
    put(&mut header, [SECTION_AT + section_len.next_multiple_of(SECTION_AT), HEADERS_LEN as u32, 0]);
    const EFI_APPLICATION: u32 = 10;
    put(&mut header, [EFI_APPLICATION]);
    // Lengths of stack and heap, which firmware has its own mind of.
    put(&mut header, vec![0; if is_wide { 8 } else { 4 }]);
    put(&mut header, [0, DIRECTORIES as u32]);
    put(&mut header, [0; 2 * DIRECTORIES]);
    header
}

fn put(bytes: &mut Vec<u8>, words: impl IntoIterator<Item = u32>) {
    bytes.extend(words.into_iter().flat_map(u32::to_le_bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_where_the_instructions_look_for_it() {
        let text: Vec<u8> = "hello".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let ia32 = that_says(Processor::Ia32, "hello");
        // `call` pushes the address behind itself.
        let behind_call = HEADERS_LEN + 12;
        assert_eq!(ia32[behind_call + 18..][..text.len()], text);
        let arm64 = that_says(Processor::Arm64, "hello");
        assert_eq!(arm64[HEADERS_LEN + 8 + 16..][..text.len()], text);
        assert_eq!((ia32.len(), arm64.len()), (1024, 1024));
    }
}
