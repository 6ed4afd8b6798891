// Standard Schema (https://standardschema.dev), version 1, as far as it is needed: Zod, Valibot, ArkType and others
// have it. A type and no dependency.

/** What a validating library offers under `~standard`. */
export interface StandardSchemaV1<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    /** Looks at a value, at once or later. */
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** What came of a validation: a value, or what is wrong with it. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

/** What is wrong with a value, and where in it. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** A value that came, with its kind: only messages and the application's own kinds are what the schema describes. */
interface Checked {
  readonly value: unknown
  readonly kind: number
  readonly redacted: boolean
}

/**
 * What is wrong with the value of a record; `undefined` if nothing is. The value becomes what the schema made of it.
 * A schema that throws counts as one that does not take the value.
 */
export async function check<T>(
  schema: StandardSchemaV1<unknown, T> | undefined,
  record: Checked & { replace: (value: T) => void },
): Promise<readonly SchemaIssue[] | undefined> {
  if (!needsCheck(schema, record)) return undefined
  try {
    const result = await schema['~standard'].validate(record.value)
    if (result.issues !== undefined) return result.issues
    record.replace(result.value)
    return undefined
  } catch (error) {
    return [{ message: String(error) }]
  }
}

export function needsCheck<T>(
  schema: StandardSchemaV1<unknown, T> | undefined,
  { kind, redacted }: Checked,
): schema is StandardSchemaV1<unknown, T> {
  return schema !== undefined && !redacted && (kind === 0 || kind >= KIND_OWN_MIN)
}

/** Kinds below this one, except 0, are the protocol's. */
export const KIND_OWN_MIN = 32
