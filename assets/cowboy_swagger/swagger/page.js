// Shows the document that lies beside this page, or the one that `?url=` names on this origin, in Swagger UI.

function addressOfDocument() {
  const beside = new URL('swagger.json', location.href)
  const wanted = new URLSearchParams(location.search).get('url')
  if (wanted === null || !URL.canParse(wanted, location.href)) return beside
  const chosen = new URL(wanted, location.href)
  return chosen.origin === location.origin ? chosen : beside
}

window.SwaggerUIBundle({
  dom_id: '#api',
  url: addressOfDocument().href,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  // It would send the document to somebody else's server.
  validatorUrl: null,
})
