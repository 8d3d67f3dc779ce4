import { z } from 'zod'

/** Messages of one answer, whatever is asked for. RC-6 */
const mostMessages = 500

const count = () =>
  z
    .string()
    .regex(/^\d+$/)
    .transform(text => Math.min(Number(text), Number.MAX_SAFE_INTEGER))

/** Which messages of an archive are wanted. RC-6 */
export const messagePage = z.object({
  limit: count()
    .default(50)
    .transform(limit => Math.min(limit, mostMessages))
    .meta({ description: 'The newest so many; no more than 500.', example: '50' }),
  before: count()
    .optional()
    .meta({ description: 'Not later than this, in milliseconds since 1970.', example: '1606112000123' }),
})
