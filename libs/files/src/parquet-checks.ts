/** The part of a Parquet file's metadata that is checked; numbers of 64 bits may be bigint. */
export interface ParquetMetadata {
  schema: unknown[];
  row_groups: { num_rows: bigint | number; columns: { file_path?: string; meta_data?: ColumnChunk }[] }[];
}

/** Where the values of a column in a row group lie. */
export interface ColumnChunk {
  path_in_schema: string[];
  codec: string;
  num_values: bigint | number;
  total_uncompressed_size: bigint | number;
  total_compressed_size: bigint | number;
  data_page_offset: bigint | number;
  dictionary_page_offset?: bigint | number;
}

/** The part of a page's header that is checked. */
export interface PageHeader {
  type: string;
  uncompressed_page_size: number;
  compressed_page_size: number;
  data_page_header?: { num_values: number };
  data_page_header_v2?: { num_values: number };
  dictionary_page_header?: { num_values: number };
}

const limits = {
  schemaElements: 10_000,
  rowGroups: 100_000,
  /** Of a row group, decompressed. */
  bytes: 512 * 2 ** 20,
  /** Of a row group, over all columns. */
  values: 2 ** 25,
};

/**
 * Checks what a Parquet file says of itself before anything is read after it: where its parts lie, and that a row group, which
 * is in memory as a whole, is no larger than 512 MiB and 33 million values.
 *
 * @param fileSize bytes
 * @throws Error saying what is wrong
 */
export function checkRowGroups({ schema, row_groups: groups }: ParquetMetadata, fileSize: number): void {
  if (schema.length > limits.schemaElements)
    throw new Error(`it has ${schema.length} columns; at most ${limits.schemaElements} are read`);
  if (groups.length > limits.rowGroups)
    throw new Error(`it has ${groups.length} row groups; at most ${limits.rowGroups} are read`);
  groups.forEach(({ num_rows, columns }, index) => {
    const name = `row group ${index + 1}`;
    const rows = count(num_rows, `the rows of ${name}`);
    let [bytes, values] = [0, 0];
    for (const { file_path, meta_data: chunk } of columns) {
      if (file_path || !chunk) throw new Error(`a column of ${name} lies in another file or is encrypted`);
      const column = `column ${chunk.path_in_schema.join('.')} of ${name}`;
      const here = count(chunk.num_values, `the values of ${column}`);
      if (here < rows) throw new Error(`${column} has ${here} values for ${rows} rows`);
      values += here;
      bytes += count(chunk.total_uncompressed_size, `the size of ${column}`);
      const start = count(chunk.dictionary_page_offset || chunk.data_page_offset, `the place of ${column}`);
      const end = start + count(chunk.total_compressed_size, `the compressed size of ${column}`);
      if (end > fileSize) throw new Error(`${column} is to lie at bytes ${start} to ${end}, of ${fileSize}`);
    }
    if (columns.length === 0 && rows > 0) throw new Error(`${name} has ${rows} rows and no column`);
    if (bytes > limits.bytes || values > limits.values)
      throw new Error(
        `${name} holds ${(bytes / 2 ** 20).toFixed(0)} MiB and ${values} values; ` +
          `at most ${limits.bytes / 2 ** 20} MiB and ${limits.values} values are read at once: write smaller row groups`,
      );
  });
}

/**
 * Checks the headers of a column's pages, from which decoding takes its memory, against what the file says of the column.
 *
 * @param view the column's bytes
 * @param readHeader reads the page header at `offset` and moves it behind
 * @throws Error saying what is wrong
 */
export function checkPages(
  chunk: ColumnChunk,
  view: DataView,
  readHeader: (reader: { view: DataView; offset: number }) => PageHeader,
): void {
  const name = `column ${chunk.path_in_schema.join('.')}`;
  const reader = { view, offset: 0 };
  let [values, bytes] = [0, 0];
  while (reader.offset < view.byteLength - 1) {
    const header = readHeader(reader);
    const page = header.data_page_header ?? header.data_page_header_v2 ?? header.dictionary_page_header;
    const held = count(page?.num_values ?? 0, `the values of a page of ${name}`);
    // A dictionary has no more entries than the column has values.
    if (
      header.type === 'DICTIONARY_PAGE' ? held > Number(chunk.num_values) : (values += held) > Number(chunk.num_values)
    )
      throw new Error(`the pages of ${name} hold more values than the column, ${chunk.num_values}`);
    bytes += count(header.uncompressed_page_size, `the size of a page of ${name}`);
    if (bytes > Number(chunk.total_uncompressed_size))
      throw new Error(`the pages of ${name} hold more bytes than the column, ${chunk.total_uncompressed_size}`);
    const size = count(header.compressed_page_size, `the compressed size of a page of ${name}`);
    if (chunk.codec === 'UNCOMPRESSED' && size !== header.uncompressed_page_size)
      throw new Error(`a page of ${name} has two sizes`);
    if (reader.offset + size > view.byteLength) throw new Error(`a page of ${name} ends beyond its column`);
    reader.offset += size;
  }
}

function count(value: bigint | number | undefined, name: string): number {
  const number = Number(value);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new Error(`${name} is ${String(value)}, no count`);
}
