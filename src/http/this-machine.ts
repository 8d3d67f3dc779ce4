/** A page of another site that a browser was tricked into sending here (DNS rebinding) bears that site's name. HC-4 */
export const isThisMachine = (host: string): boolean => host === 'localhost' || host === '127.0.0.1' || host === '[::1]'
